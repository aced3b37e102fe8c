package azure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return nil, blob.Info{}, err
	}
	if off < 0 {
		return nil, blob.Info{}, fmt.Errorf("get %s: offset %d is negative", name, off)
	}
	if n == 0 { // a range of no bytes cannot be asked for
		info, err := s.stat(ctx, name)
		if err != nil {
			return nil, blob.Info{}, err
		}
		return http.NoBody, info, nil
	}
	for attempt := 0; ; attempt++ {
		stream, info, err := s.download(ctx, name, off, n)
		if err != nil {
			return nil, blob.Info{}, err
		}
		if stream.left > blob.MaxConditional {
			return stream, info, nil
		}
		data := make([]byte, stream.left)
		_, err = io.ReadFull(stream, data)
		if err = errors.Join(err, stream.Close()); err == nil {
			return io.NopCloser(bytes.NewReader(data)), info, nil
		}
		if attempt == resumes || ctx.Err() != nil {
			return nil, blob.Info{}, err
		}
		// Small objects are those that are replaced, and then a body that broke cannot go on: it is read anew.
	}
}

// download is one answer, whose body goes on where it breaks as long as the object stays what it is.
func (s *Store) download(ctx context.Context, name string, off, n int64) (*body, blob.Info, error) {
	response, err := s.blob(name).DownloadStream(ctx, &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: off, Count: max(n, 0)}})
	if bloberror.HasCode(err, bloberror.InvalidRange) { // past the end
		info, err := s.stat(ctx, name)
		return &body{inner: http.NoBody}, info, err
	}
	if err != nil {
		return nil, blob.Info{}, s.explain("get", name, err)
	}
	info, err := describe(name, response.ContentLength, response.ETag, response.LastModified, response.Date)
	if err == nil && response.ContentRange != nil {
		info.Size, err = totalOf(*response.ContentRange)
	}
	if err != nil {
		return nil, blob.Info{}, errors.Join(fmt.Errorf("get %s from %s: %w", name, s.at, err), response.Body.Close())
	}
	left := info.Size - off
	if n >= 0 {
		left = min(left, n)
	}
	return &body{inner: response.NewRetryReader(ctx, &azblob.RetryReaderOptions{MaxRetries: resumes}), left: left, explain: func(err error) error {
		return s.explain("read", name, err)
	}}, info, nil
}

// body hands out exactly the bytes that were promised: fewer are an error, even where the connection ended in order.
type body struct {
	inner   io.ReadCloser
	left    int64
	explain func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	n, err := b.inner.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && b.left > 0:
		return n, b.explain(fmt.Errorf("%d bytes are missing: %w", b.left, io.ErrUnexpectedEOF))
	case err != nil && !errors.Is(err, io.EOF):
		return n, b.explain(err)
	}
	return n, err
}

func (b *body) Close() error { return b.inner.Close() }

// totalOf is the object's size in `bytes 0-9/200`.
func totalOf(contentRange string) (int64, error) {
	_, total, _ := strings.Cut(contentRange, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the answer's range %q tells no size", contentRange)
	}
	return size, nil
}

func (s *Store) stat(ctx context.Context, name string) (blob.Info, error) {
	response, err := s.blob(name).GetProperties(s.repeated(ctx), nil)
	if err != nil {
		return blob.Info{}, s.explain("get", name, err)
	}
	info, err := describe(name, response.ContentLength, response.ETag, response.LastModified, response.Date)
	if err != nil {
		return blob.Info{}, fmt.Errorf("get %s from %s: %w", name, s.at, err)
	}
	return info, nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	full, page := s.at.full(prefix), int32(listPage)
	pager := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix: &full, MaxResults: &page, Include: container.ListBlobsInclude{Metadata: true},
	})
	last := ""
	for pager.More() {
		response, err := pager.NextPage(s.repeated(ctx))
		if err != nil {
			return s.explain("list", prefix+"*", err)
		}
		for _, item := range response.Segment.BlobItems {
			info, ok, err := s.listed(item, response.Date)
			if err != nil {
				return fmt.Errorf("list %s* in %s: %w", prefix, s.at, err)
			}
			if !ok || !strings.HasPrefix(info.Name, prefix) {
				continue
			}
			if info.Name <= last {
				return fmt.Errorf("list %s* in %s: the service lists %s after %s, which is not the order of their bytes; "+
					"accounts with a hierarchical namespace do so where one name begins like a folder: list a longer prefix, or rename one", prefix, s.at, info.Name, last)
			}
			last = info.Name
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := visit(info); err != nil {
				return err
			}
		}
	}
	return nil
}

// listed reads one entry; ok is false for a folder of a hierarchical namespace, which is listed like an empty object.
func (s *Store) listed(item *container.BlobItem, now *time.Time) (info blob.Info, ok bool, err error) {
	if item.Name == nil || item.Properties == nil {
		return blob.Info{}, false, errors.New("an entry has no name or no properties")
	}
	if kind := item.Properties.ResourceType; kind != nil && strings.EqualFold(*kind, "directory") {
		return blob.Info{}, false, nil
	}
	for key, value := range item.Metadata {
		if strings.EqualFold(key, "hdi_isfolder") && value != nil && strings.EqualFold(*value, "true") {
			return blob.Info{}, false, nil
		}
	}
	p := item.Properties
	info, err = describe(s.at.short(*item.Name), p.ContentLength, p.ETag, p.LastModified, now)
	return info, err == nil, err
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	_, err := s.blob(name).Delete(s.repeated(ctx), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return s.explain("delete", name, err)
}

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return blob.CheckName(name)
}

// describe refuses an answer that leaves out what programs decide by; a proxy that drops headers would show here.
func describe(name string, size *int64, tag *azcore.ETag, modified, now *time.Time) (blob.Info, error) {
	if size == nil || tag == nil || modified == nil || now == nil {
		return blob.Info{}, fmt.Errorf("the answer about %s lacks length, ETag, Last-Modified or Date", name)
	}
	return blob.Info{Name: name, Size: *size, Version: versionOf(*tag), Modified: modified.UTC(), Now: now.UTC()}, nil
}

// versionOf is the ETag without its quotes, which answers have and lists may not.
func versionOf(tag azcore.ETag) string { return strings.Trim(string(tag), `"`) }

func tagOf(version string) azcore.ETag { return azcore.ETag(`"` + version + `"`) }

// repeated is the context of a request that can do no harm twice; a try that hangs is given up. Downloads keep the
// client's own options, whose tries have no end, because a body may take its time.
func (s *Store) repeated(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries: tries - 1, TryTimeout: tryTimeout, RetryDelay: s.opts.RetryDelay, MaxRetryDelay: maxRetryDelay,
	})
}

// once is the context of a request that is sent once.
func once(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout})
}
