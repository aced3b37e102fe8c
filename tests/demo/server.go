package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// server is one of deploy/dev: Apache Kafka or Azurite, a process group of its own in a folder of its own. So Ctrl-C does
// not reach it, and the programs can end in good order before it does.
type server struct {
	script string
	folder string
}

func (p *place) kafka() server   { return p.server("kafka") }
func (p *place) azurite() server { return p.server("azurite") }

func (p *place) server(name string) server {
	return server{filepath.Join(p.scripts, name), filepath.Join(p.dir, name)}
}

// stopServers stops those that run.
func (p *place) stopServers() error { return errors.Join(p.kafka().stop(), p.azurite().stop()) }

// start starts it and reads how to reach it from a file of its folder.
func (s server) start(ctx context.Context, reach string) (string, error) {
	if err := s.run(ctx, "start"); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(s.folder, reach))
	if err != nil {
		return "", fmt.Errorf("start %s: %w", filepath.Base(s.script), err)
	}
	return strings.TrimSpace(string(text)), nil
}

// stop ends it, if it runs.
func (s server) stop() error {
	if _, err := os.Stat(s.folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.run(context.Background(), "stop") // it bounds itself
}

// run says what the script says: it names what is missing on this machine.
func (s server) run(ctx context.Context, verb string) error {
	command := exec.CommandContext(ctx, s.script, verb, s.folder)
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", verb, filepath.Base(s.script), err, bytes.TrimSpace(out))
	}
	return nil
}

const mostRead = 64 << 20 // bytes of an object that is read whole

// archiveName is the container in Azurite that becomes the archive.
const archiveName = "almanac"

// account is a storage account with an archive in it.
type account struct {
	location   string // the archive's, as almanac.yaml has it
	connection string // path of the file with the connection string
	store      *azure.Store
}

var _ harness.Store = (*account)(nil)

// openAccount makes the archive's container.
func openAccount(ctx context.Context, connection, path string) (*account, error) {
	client, err := container.NewClientFromConnectionString(connection, archiveName, nil)
	if err != nil {
		return nil, fmt.Errorf("open storage account: %w", err)
	}
	if _, err := client.Create(ctx, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil, fmt.Errorf("make container %s: %w", archiveName, err)
	}
	a := &account{location: client.URL(), connection: path}
	at, err := azure.ParseLocation(a.location)
	if err != nil {
		return nil, err
	}
	a.store, err = azure.New(at, azure.Options{ConnectionString: config.NewSecret(connection)})
	return a, err
}

// Settings are the account's part of almanac.yaml.
func (a *account) Settings() harness.Settings {
	return harness.Settings{"archive.root": a.location, "archive.connection_string": fmt.Sprintf("{ file: %q }", a.connection)}
}

// Read reads one object; fs.ErrNotExist where there is none.
func (a *account) Read(ctx context.Context, name string) ([]byte, error) {
	text, _, err := blob.ReadAll(ctx, a.store, name, mostRead)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return text, err
}

// Copy writes all objects into a folder.
func (a *account) Copy(ctx context.Context, folder string) error {
	into, err := dir.New(folder, dir.Options{})
	if err != nil {
		return err
	}
	return a.store.List(ctx, "", func(info blob.Info) error {
		body, _, err := a.store.Get(ctx, info.Name, 0, info.Size)
		if err != nil {
			return err
		}
		_, err = into.Put(ctx, info.Name, body, blob.Always())
		return errors.Join(err, body.Close())
	})
}
