package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ReadAll reads a whole object of at most max bytes. A body that is shorter or longer than the store said is an error: a
// short download must never pass for the object.
func ReadAll(ctx context.Context, s Store, name string, max int64) ([]byte, Info, error) {
	body, info, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, Info{}, err
	}
	if info.Size > max {
		return nil, Info{}, errors.Join(fmt.Errorf("read %s: it has %d bytes, at most %d are expected here", name, info.Size, max), body.Close())
	}
	data := make([]byte, info.Size)
	if _, err = io.ReadFull(body, data); err == nil {
		err = atEnd(body)
	}
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, Info{}, fmt.Errorf("read %s (%d bytes): %w", name, info.Size, err)
	}
	return data, info, nil
}

func atEnd(body io.Reader) error {
	switch n, err := io.ReadFull(body, make([]byte, 1)); {
	case n > 0:
		return errors.New("it is longer than the store said")
	case err == io.EOF:
		return nil
	default:
		return err
	}
}

// Stat describes an object without reading it.
func Stat(ctx context.Context, s Store, name string) (Info, error) {
	body, info, err := s.Get(ctx, name, 0, 0)
	if err != nil {
		return Info{}, err
	}
	return info, body.Close()
}
