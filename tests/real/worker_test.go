package real_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// worker is a Python process that keeps its libraries, and Spark its session, over many requests: one JSON line each
// way.
type worker struct {
	mu    sync.Mutex
	in    io.WriteCloser
	out   *bufio.Reader
	log   string
	wait  func() error
	ended error
}

// request is what a worker is asked: `do` and its arguments.
type request map[string]any

func startWorker(name string, env []string) (*worker, error) {
	python, err := tool("python", "bin", "python")
	if err != nil {
		return nil, err
	}
	w := &worker{log: filepath.Join(components.folder, name+".log")}
	log, err := os.Create(w.log)
	if err != nil {
		return nil, err
	}
	command := exec.Command(python, "-u", filepath.Join("testdata", name))
	command.Env = append(append(os.Environ(), "TZ=Asia/Kolkata"), env...) // whoever forgets UTC shall notice
	command.Stderr = log
	if w.in, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReaderSize(out, 1<<20)
	if err := command.Start(); err != nil {
		return nil, err
	}
	w.wait = func() error { return errors.Join(command.Wait(), log.Close()) }
	atTheEnd(func() error { return errors.Join(w.in.Close(), w.wait()) })
	return w, nil
}

func startSpark() (*worker, error) {
	jars, err := tool("spark-delta-*", "lib")
	if err != nil {
		return nil, err
	}
	return startWorker("spark.py", []string{"SPARK_DELTA_JARS=" + jars, "SPARK_LOCAL_DIRS=" + components.folder})
}

// ask sends a request and reads the answer into result; took is the worker's own time.
func (w *worker) ask(r request, result any) (took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return 0, w.ended
	}
	line, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if _, err = w.in.Write(append(line, '\n')); err != nil {
		w.ended = fmt.Errorf("worker has ended, see %s: %w", w.log, err)
		return 0, w.ended
	}
	text, err := w.out.ReadBytes('\n')
	if err != nil {
		w.ended = fmt.Errorf("worker has ended, see %s: %w", w.log, err)
		return 0, w.ended
	}
	var answer struct {
		Result  json.RawMessage
		Seconds float64
		Error   string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, fmt.Errorf("worker answered %q: %w", text, err)
	}
	took = time.Duration(answer.Seconds * float64(time.Second))
	if answer.Error != "" {
		return took, errors.New(answer.Error)
	}
	if result == nil {
		return took, nil
	}
	return took, json.Unmarshal(answer.Result, result)
}

// mustAsk is ask for what has to work.
func (w *worker) mustAsk(t *testing.T, r request, result any) time.Duration {
	t.Helper()
	took, err := w.ask(r, result)
	if err != nil {
		t.Fatalf("%v: %v (log: %s)", r, err, w.log)
	}
	return took
}
