package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func buffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// heartbeat notes what another member says of itself, and answers with what we say of ourselves.
func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request) {
	if cluster := r.Header.Get(HeaderCluster); cluster != s.options.Cluster {
		refuse(w, http.StatusConflict, "this is a sidecar of cluster %q, not of %q: two members' api addresses are mixed up",
			s.options.Cluster, cluster)
		return
	}
	buf := buffer()
	defer buffers.Put(buf)
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, maxHeartbeat)); err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "read heartbeat: %v", err)
		return
	}
	peer, err := s.repeats.decode(r.RemoteAddr, buf.Bytes())
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	if hungUp(r.Context()) {
		// It lay in a queue while this process was stopped: what it says is old, and its sender has given up on it.
		panic(http.ErrAbortHandler)
	}
	s.options.Lag.Note(peer)
	s.source.Heard(peer)
	buf.Reset()
	if err := json.NewEncoder(buf).Encode(s.source.Self()); err != nil {
		refuse(w, http.StatusInternalServerError, "encode member: %v", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	w.Write(buf.Bytes())
}

// decodeMember reads one whole member and nothing after it. Fields that this version does not know are passed over, so
// that members of two versions understand each other while a cluster is upgraded.
func decodeMember(data []byte) (watchdog.Member, error) {
	var m watchdog.Member
	if err := json.Unmarshal(data, &m); err != nil {
		return watchdog.Member{}, fmt.Errorf("decode heartbeat: %w", err)
	}
	if m.Name == "" {
		return watchdog.Member{}, errors.New("decode heartbeat: it names no member")
	}
	return m, nil
}

// tail streams raw WAL to the heir.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get(headerToken)
	if token == "" {
		refuse(w, http.StatusUnauthorized, "WAL is served only to the member that the record names: the header %s is missing", headerToken)
		return
	}
	query := r.URL.Query()
	timeline, err := strconv.ParseUint(query.Get("timeline"), 10, 32)
	if err != nil {
		refuse(w, http.StatusBadRequest, "parse timeline: %v", err)
		return
	}
	from, err := watchdog.ParseLSN(query.Get("from"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "parse from: %v", err)
		return
	}
	to, err := watchdog.ParseLSN(query.Get("to"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "parse to: %v", err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	body := &countingWriter{w: w}
	err = s.source.ServeTail(r.Context(), token, watchdog.Timeline(timeline), from, to, body)
	switch {
	case err == nil:
	case body.written > 0:
		s.log.Warn("serving the tail broke off", "timeline", timeline, "from", from, "to", to, "sent", body.written, "error", err)
		panic(http.ErrAbortHandler) // cut, so that the reader does not take it for whole
	case errors.Is(err, ErrForbidden):
		refuse(w, http.StatusForbidden, "%v", err)
	default:
		refuse(w, http.StatusServiceUnavailable, "serve WAL of timeline %d from %s to %s: %v", timeline, from, to, err)
	}
}

type countingWriter struct {
	w       io.Writer
	written int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // would send the header, and with it that all is well
	}
	n, err := c.w.Write(p)
	c.written += int64(n)
	return n, err
}

type connKey struct{}

// rememberConn lets a handler find its connection.
func rememberConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// hungUp says whether the other side has closed the connection on which the request came. When unsure it says no.
func hungUp(ctx context.Context) bool {
	conn, ok := ctx.Value(connKey{}).(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = err == nil && n == 0 || errors.Is(err, unix.ECONNRESET)
	})
	return err == nil && closed
}
