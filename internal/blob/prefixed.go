package blob

import (
	"context"
	"io"
	"strings"
)

// Prefixed is the part of a store below prefix, as a store of its own: names are given and told without it.
func Prefixed(s Store, prefix string) Store {
	return prefixed{inner: s, prefix: strings.TrimSuffix(prefix, "/") + "/"}
}

type prefixed struct {
	inner  Store
	prefix string
}

func (p prefixed) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, Info, error) {
	body, info, err := p.inner.Get(ctx, p.prefix+name, off, n)
	return body, p.strip(info), err
}

func (p prefixed) Put(ctx context.Context, name string, body io.Reader, cond Condition) (Info, error) {
	info, err := p.inner.Put(ctx, p.prefix+name, body, cond)
	return p.strip(info), err
}

func (p prefixed) List(ctx context.Context, prefix string, visit func(Info) error) error {
	return p.inner.List(ctx, p.prefix+prefix, func(info Info) error { return visit(p.strip(info)) })
}

func (p prefixed) Delete(ctx context.Context, name string) error {
	return p.inner.Delete(ctx, p.prefix+name)
}

func (p prefixed) strip(info Info) Info {
	info.Name = strings.TrimPrefix(info.Name, p.prefix)
	return info
}
