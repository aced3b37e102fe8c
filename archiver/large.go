package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// fetchLarge puts a claim-checked document back inline. An object that is absent, or not the one that the check was made
// for, becomes a quarantined row: the document is lost, and that must be seen (INV-10). Other errors are the store's.
func (a *Archiver) fetchLarge(ctx context.Context, topic string) error {
	d := a.decoder
	var document []byte
	err := a.retry(ctx, "read large document", func(ctx context.Context) (err error) {
		document, err = readLarge(ctx, a.producer, topic, *d.claim)
		return err
	})
	var lost *lostDocumentError
	switch {
	case errors.As(err, &lost):
		d.quarantine(lost.Error(), lost)
		return nil
	case err != nil:
		return err
	}
	d.row.Document = document
	return nil
}

// lostDocumentError says that the bytes behind a claim check are gone or other ones.
type lostDocumentError struct{ err error }

func (e *lostDocumentError) Error() string { return fmt.Sprintf("large document: %v", e.err) }
func (e *lostDocumentError) Unwrap() error { return e.err }
func (e *lostDocumentError) permanent()    {}

func readLarge(ctx context.Context, store blob.Store, topic string, claim schemas.ClaimCheck) ([]byte, error) {
	name := topic + "/" + claim.Name
	body, info, err := store.Get(ctx, name, 0, claim.Length)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, &lostDocumentError{err}
	}
	if err != nil {
		return nil, err
	}
	if info.Size != claim.Length {
		return nil, &lostDocumentError{errors.Join(
			fmt.Errorf("object %s has %d bytes, its claim check says %d", name, info.Size, claim.Length), body.Close())}
	}
	document := make([]byte, claim.Length)
	_, err = io.ReadFull(body, document)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if err := claim.Verify(document); err != nil {
		return nil, &lostDocumentError{err}
	}
	return document, nil
}
