package real_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// remote is an archive in Azurite, read with the SDK alone; the programs reach it by another address, where a proxy stands.
type remote struct {
	client *container.Client
	prefix string // with the last slash
	given  harness.Settings
	copied map[string]azcore.ETag // by name, what Copy has brought
}

var _ harness.Store = (*remote)(nil)

func newRemote(client *container.Client, by emulated, name, prefix string) *remote {
	return &remote{client: client, prefix: prefix + "/", copied: map[string]azcore.ETag{}, given: harness.Settings{
		"archive.root": by.endpoint + "/" + name + "/" + prefix, "archive.account_key": fmt.Sprintf("%q", by.key),
	}}
}

func (r *remote) Settings() harness.Settings { return r.given }

func (r *remote) Read(ctx context.Context, name string) ([]byte, error) {
	text, _, err := r.get(ctx, name)
	return text, err
}

func (r *remote) get(ctx context.Context, name string) ([]byte, azcore.ETag, error) {
	answer, err := r.client.NewBlobClient(r.prefix+name).DownloadStream(ctx, &blob.DownloadStreamOptions{})
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, "", fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	return text, *answer.ETag, nil
}

func (r *remote) Copy(ctx context.Context, folder string) error {
	gone := map[string]bool{}
	for name := range r.copied {
		gone[name] = true
	}
	pages := r.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &r.prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s: %w", r.prefix, err)
		}
		for _, item := range page.Segment.BlobItems {
			name := strings.TrimPrefix(*item.Name, r.prefix)
			delete(gone, name)
			if r.copied[name] == *item.Properties.ETag {
				continue
			}
			if err := r.bring(ctx, folder, name); err != nil {
				return err
			}
		}
	}
	for name := range gone {
		delete(r.copied, name)
		if err := os.Remove(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

func (r *remote) bring(ctx context.Context, folder, name string) error {
	text, tag, err := r.get(ctx, name)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
		return err
	}
	r.copied[name] = tag
	return nil
}
