package cosmosfake

import (
	"fmt"
	"io"
	"net"
	"time"
)

// greeter tells clients that come by http:// that this is https://.
type greeter struct{ net.Listener }

func (g greeter) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &greeted{Conn: c}, nil
}

type greeted struct {
	net.Conn
	known bool
}

// Read looks at the first byte: TLS begins with 22, HTTP with the letter of a method.
func (g *greeted) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.known || n == 0 {
		return n, err
	}
	g.known = true
	if b[0] < 'A' || b[0] > 'Z' {
		return n, err
	}
	text := fmt.Sprintf(`{"code":"BadRequest","message":"This is HTTPS: the address begins with https://, as in https://%s/."}`, g.LocalAddr())
	// It goes away either way; who does not wait for the answer misses it.
	_, _ = fmt.Fprintf(g.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	if g.SetReadDeadline(time.Now().Add(100*time.Millisecond)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(g.Conn, 1<<20)) // what is unread would take the answer away
	}
	return 0, io.EOF
}
