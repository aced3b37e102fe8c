package azure

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if err := check(ctx, name); err != nil {
		return blob.Info{}, err
	}
	if version, ok := cond.Version(); ok && version == "" {
		return blob.Info{}, fmt.Errorf("put %s: the version to replace is unknown", name)
	}
	first, more, err := readBlock(body, firstRead(body), s.opts.BlockBytes)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put %s: read body: %w", name, err)
	}
	if !more {
		return s.putWhole(ctx, name, first, cond)
	}
	return s.putBlocks(ctx, name, first, body, cond)
}

// firstRead is the body's length where it tells one, or little: most objects are small.
func firstRead(body io.Reader) int {
	if known, ok := body.(interface{ Len() int }); ok {
		return known.Len() + 1 // and room to find the end
	}
	return 4 << 10
}

// readBlock reads up to size bytes into a buffer that is start long at first and grows; more is false when the body ended.
// Buffers are never used again: a transport may read one even after it gave its request up.
func readBlock(body io.Reader, start, size int) (block []byte, more bool, err error) {
	block = make([]byte, 0, min(start, size))
	for len(block) < size {
		if len(block) == cap(block) {
			block = slices.Grow(block, min(cap(block), size-len(block)))
		}
		n, err := body.Read(block[len(block):min(cap(block), size)])
		block = block[:len(block)+n]
		if errors.Is(err, io.EOF) {
			return block, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return block, true, nil
}

func (s *Store) putWhole(ctx context.Context, name string, data []byte, cond blob.Condition) (blob.Info, error) {
	response, err := s.blob(name).Upload(s.deciding(ctx, cond), seeker(data), &blockblob.UploadOptions{AccessConditions: conditions(cond)})
	if err != nil {
		return blob.Info{}, s.refused(ctx, name, cond, err)
	}
	return s.written(name, int64(len(data)), response.ETag, response.LastModified, response.Date)
}

// putBlocks stages the body block by block, a few at a time, and then names them all in one conditional request.
func (s *Store) putBlocks(ctx context.Context, name string, first []byte, body io.Reader, cond blob.Condition) (blob.Info, error) {
	up := upload{store: s, client: s.blob(name)}
	if _, err := rand.Read(up.prefix[:]); err != nil {
		return blob.Info{}, fmt.Errorf("put %s: %w", name, err)
	}
	if err := up.stage(ctx, first, body); err != nil {
		return blob.Info{}, s.explain("put", name, err)
	}
	response, err := up.client.CommitBlockList(s.deciding(ctx, cond), up.ids, &blockblob.CommitBlockListOptions{AccessConditions: conditions(cond)})
	if err != nil {
		return blob.Info{}, s.refused(ctx, name, cond, err)
	}
	return s.written(name, up.size, response.ETag, response.LastModified, response.Date)
}

// upload is one object on its way.
type upload struct {
	store  *Store
	client *blockblob.Client
	prefix [16]byte // of the block ids, random: two writers of one name must not take each other's blocks for theirs
	ids    []string
	size   int64
}

func (u *upload) stage(ctx context.Context, block []byte, body io.Reader) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blocksInFlight)
	var failed error
	for more := true; len(block) > 0; {
		if len(u.ids) == maxBlocks {
			failed = fmt.Errorf("the object has more than %d blocks of %d bytes", maxBlocks, u.store.opts.BlockBytes)
			break
		}
		u.send(ctx, group, block)
		if !more || ctx.Err() != nil {
			break
		}
		if block, more, failed = readBlock(body, u.store.opts.BlockBytes, u.store.opts.BlockBytes); failed != nil {
			failed = fmt.Errorf("read body: %w", failed)
			break
		}
	}
	return errors.Join(failed, group.Wait())
}

// send stages a block under the next id. It waits while enough others are on their way.
func (u *upload) send(ctx context.Context, group *errgroup.Group, block []byte) {
	var id [20]byte
	copy(id[:], u.prefix[:])
	binary.BigEndian.PutUint32(id[16:], uint32(len(u.ids)))
	text := base64.StdEncoding.EncodeToString(id[:])
	u.ids = append(u.ids, text)
	u.size += int64(len(block))
	group.Go(func() error {
		_, err := u.client.StageBlock(u.store.repeated(ctx), text, seeker(block), nil)
		return err
	})
}

// block is the body of a request, which bodies reads for each attempt anew.
type block struct {
	*bytes.Reader

	data []byte
}

func (*block) Close() error { return nil }

func seeker(data []byte) io.ReadSeekCloser { return &block{bytes.NewReader(data), data} }

// bodies gives every attempt at a request a reader of its own: a transport whose request is answered before all of it was sent
// goes on reading for a while, and what it reads would be missing in the next attempt.
type bodies struct{}

// Do implements policy.Policy.
func (bodies) Do(r *policy.Request) (*http.Response, error) {
	if body, ok := r.Body().(*block); ok {
		r.Raw().Body = io.NopCloser(bytes.NewReader(body.data))
	}
	return r.Next()
}

// deciding is the context of the request that makes the object. With a condition it is sent once.
func (s *Store) deciding(ctx context.Context, cond blob.Condition) context.Context {
	if _, ok := cond.Version(); ok || cond.Absent() {
		return once(ctx)
	}
	return s.repeated(ctx)
}

func conditions(cond blob.Condition) *azblob.AccessConditions {
	modified := &azblob.ModifiedAccessConditions{}
	if version, ok := cond.Version(); ok {
		tag := tagOf(version)
		modified.IfMatch = &tag
	}
	if cond.Absent() {
		tag := azcore.ETagAny
		modified.IfNoneMatch = &tag
	}
	return &azblob.AccessConditions{ModifiedAccessConditions: modified}
}

// refused tells a condition that did not hold from everything else.
func (s *Store) refused(ctx context.Context, name string, cond blob.Condition, err error) error {
	_, versioned := cond.Version()
	conditional := versioned || cond.Absent()
	failed := conditional && bloberror.HasCode(err, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet, bloberror.BlobAlreadyExists) ||
		versioned && bloberror.HasCode(err, bloberror.BlobNotFound)
	if !failed && conditional && bloberror.HasCode(err, bloberror.InvalidBlockList, bloberror.BlobImmutableDueToPolicy) {
		// Whoever names blocks of an object discards everybody else's, and a policy may forbid what the condition
		// forbids too. Both are definite refusals; what stands there says which.
		failed = s.changed(ctx, name, cond)
	}
	if failed {
		return fmt.Errorf("put %s %v in %s: %w", name, cond, s.at, blob.ErrCondition)
	}
	return s.explain("put", name, err)
}

// changed says whether the condition does not hold now; false also where that cannot be known.
func (s *Store) changed(ctx context.Context, name string, cond blob.Condition) bool {
	info, err := s.stat(ctx, name)
	if cond.Absent() {
		return err == nil
	}
	want, _ := cond.Version()
	return err == nil && info.Version != want || errors.Is(err, blob.ErrNotFound)
}

func (s *Store) written(name string, size int64, tag *azcore.ETag, modified, now *time.Time) (blob.Info, error) {
	info, err := describe(name, &size, tag, modified, now)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put %s in %s: %w", name, s.at, err)
	}
	return info, nil
}
