package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

const (
	probePrefix = "almanac-check-"
	cleanupTime = 30 * time.Second
	conditions  = "choose storage that keeps conditional writes (a local folder, NFS 4 or Azure Blob Storage): without them two processes would overwrite each other's work"
)

// Store tries everything that the programs need of a store, on an object of its own that it removes. subject is the
// setting that names the store, root its value.
func Store(ctx context.Context, store blob.Store, subject, root string) []Finding {
	p := storeProbe{store: store, name: probePrefix + rand.Text(), subject: subject, root: root}
	findings := p.conditions(ctx)
	left := p.clean(ctx)
	if p.written && findings[0].Severity != Unreachable { // what did not answer, or let nobody in, is said once
		findings = append(findings, left...)
	}
	return append(findings, Secrecy(store, subject, root)...)
}

// Readable tries what a program needs that only reads: to list nothing. It finds something only where that fails, or where
// everybody can read.
func Readable(ctx context.Context, store blob.Store, subject, root string) []Finding {
	findings := Secrecy(store, subject, root)
	err := store.List(ctx, probePrefix+rand.Text(), func(blob.Info) error { return nil })
	if err == nil {
		return findings
	}
	return append(findings, Failed(subject, fmt.Errorf("list: %w", err)).Fix("check that %s is %s, that it can be reached, and that this process may read there", subject, root))
}

// Secrecy warns of a store that is reached without encryption, by a setting of its own. subject is the setting that
// names it, root its value.
func Secrecy(store blob.Store, subject, root string) []Finding {
	if one, ok := store.(interface{ Exposed() bool }); !ok || !one.Exposed() {
		return nil
	}
	f := Bad(Warning, subject, "%s is not encrypted, and archive.allow_http lets it be: everybody on the way can read every document and signature", root)
	return []Finding{f.Fix("keep it to an emulator in a network of its own; anywhere else write https, and remove archive.allow_http")}
}

// NotOpened is the finding of a store that cannot even be opened, which asks nobody beyond this machine. subject is the
// setting that names it.
func NotOpened(subject string, err error) []Finding {
	f := Failed(subject, err)
	f.Severity = Stop
	return []Finding{f.Fix("correct %s, or let this process make, read and write what it names", subject)}
}

type storeProbe struct {
	store         blob.Store
	name          string
	subject, root string
	written       bool
}

func (p *storeProbe) failed(err error) []Finding {
	f := Failed(p.subject, err)
	return []Finding{f.Fix("check that %s is %s, that it can be reached, and that this process may read, write and delete there", p.subject, p.root)}
}

func (p *storeProbe) broken(format string, args ...any) []Finding {
	return []Finding{Bad(Stop, p.subject, format, args...).Fix(conditions)}
}

// conditions tries put-if-absent, reading, listing and put-if-version: of each the case that holds and the one that does
// not.
func (p *storeProbe) conditions(ctx context.Context) []Finding {
	first, second := []byte("written by almanac check"), []byte("written again")
	info, err := p.store.Put(ctx, p.name, bytes.NewReader(first), blob.IfAbsent())
	if err != nil {
		return p.failed(fmt.Errorf("write if absent: %w", err))
	}
	p.written = true
	if _, err := p.store.Put(ctx, p.name, bytes.NewReader(second), blob.IfAbsent()); err == nil {
		return p.broken("%s replaced an object that was to be written only if absent", p.root)
	} else if !errors.Is(err, blob.ErrCondition) {
		return p.failed(fmt.Errorf("write if absent, again: %w", err))
	}
	body, read, err := blob.ReadAll(ctx, p.store, p.name, int64(len(first)))
	if err != nil {
		return p.failed(fmt.Errorf("read: %w", err))
	}
	if !bytes.Equal(body, first) || read.Version == "" || info.Version != "" && read.Version != info.Version {
		return p.broken("%s does not give back what was written: got %q, version %q, want %q, version %q", p.root, body, read.Version, first, info.Version)
	}
	if found, err := p.list(ctx); err != nil {
		return p.failed(fmt.Errorf("list: %w", err))
	} else if found != 1 {
		return p.broken("%s lists %d objects of a name that stands there once", p.root, found)
	}
	if _, err := p.store.Put(ctx, p.name, bytes.NewReader(second), blob.IfVersion(read.Version)); err != nil {
		return p.failed(fmt.Errorf("write if unchanged: %w", err))
	}
	if _, err := p.store.Put(ctx, p.name, bytes.NewReader(first), blob.IfVersion(read.Version)); err == nil {
		return p.broken("%s replaced an object that had changed meanwhile", p.root)
	} else if !errors.Is(err, blob.ErrCondition) {
		return p.failed(fmt.Errorf("write if unchanged, after a change: %w", err))
	}
	return []Finding{Good(p.subject, "%s keeps the conditions of writes; it can be read, listed and written", p.root)}
}

func (p *storeProbe) list(ctx context.Context) (found int, err error) {
	err = p.store.List(ctx, p.name, func(blob.Info) error {
		found++
		return nil
	})
	return found, err
}

// clean removes the probe, also when the check was interrupted.
func (p *storeProbe) clean(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := p.store.Delete(ctx, p.name); err != nil {
		f := Bad(Warning, p.subject, "the probe %s cannot be removed: %v", p.name, err)
		return []Finding{f.Fix("remove it by hand, and let this process delete: halts, and files that nothing refers to, are removed")}
	}
	return nil
}

// Folder tries to make a file in a folder of this machine. subject is the setting that names it.
func Folder(subject, path string) Finding {
	file, err := os.CreateTemp(path, probePrefix)
	if err == nil {
		_, err = file.WriteString("written by almanac check")
		err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return folderFailed(subject, err)
	}
	return Good(subject, "%s can be written", path)
}

func folderFailed(subject string, err error) Finding {
	f := Bad(Stop, subject, "%v", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return f.Fix("the disk or quota is full: free space, or name a folder on another by %s", subject)
	}
	return f.Fix("make the folder, let this process write there, or name another by %s", subject)
}
