package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Peers asks the other members' sidecars. It keeps one connection to each for the heartbeats, and speaks HTTP/1.1 over it
// by hand: one write and one read, without the two goroutines and the bookkeeping that http.Transport needs for each
// request, and with a plain view of how a connection failed, which is what tells a silent host from one that lives.
type Peers struct {
	options Options
	tails   *http.Client

	mu    sync.Mutex
	lines map[string]*line // by base URL
}

// NewPeers returns a client that says in each heartbeat that it belongs to options.Cluster.
func NewPeers(options Options) *Peers {
	return &Peers{
		options: options,
		tails:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
		lines:   map[string]*line{},
	}
}

// Close lets all connections go.
func (p *Peers) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		l.mu.Lock()
		l.hangUp()
		l.mu.Unlock()
	}
	p.lines = map[string]*line{}
	return nil
}

// Heartbeat tells the member at api of self, and returns what it says of itself. answered: its host lives, because the
// connection was refused or reset, or because anything came back.
func (p *Peers) Heartbeat(ctx context.Context, api string, self watchdog.Member) (peer watchdog.Member, answered bool, err error) {
	l, err := p.line(api)
	if err != nil {
		return watchdog.Member{}, false, err
	}
	peer, answered, err = l.heartbeat(ctx, self)
	if err != nil {
		return watchdog.Member{}, answered, fmt.Errorf("heartbeat to %s: %w", api, err)
	}
	p.options.Lag.Note(peer)
	return peer, true, nil
}

// Tail asks for the raw WAL in [from, tail.End). A body that was cut ends in an error, never in a plain end of file.
func (p *Peers) Tail(ctx context.Context, tail watchdog.Tail, from watchdog.LSN) (io.ReadCloser, error) {
	query := url.Values{
		"timeline": {strconv.FormatUint(uint64(tail.Timeline), 10)},
		"from":     {from.String()},
		"to":       {tail.End.String()},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, tail.API+"/tail?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for the tail: %w", tail.From, err)
	}
	request.Header.Set(headerToken, tail.Token)
	response, err := p.tails.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s for the tail: %w", tail.From, err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	err = refused(response.StatusCode, response.Body)
	if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized {
		err = fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return nil, fmt.Errorf("ask %s for the tail: %w", tail.From, err)
}

// refused makes an error of an answer that is not 200.
func refused(code int, body io.Reader) error {
	var why refusal
	data, _ := io.ReadAll(io.LimitReader(body, 4<<10))
	if json.Unmarshal(data, &why) == nil && why.Error != "" {
		return fmt.Errorf("HTTP %d: %s", code, why.Error)
	}
	return fmt.Errorf("HTTP %d", code)
}

func (p *Peers) line(api string) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, found := p.lines[api]; found {
		return l, nil
	}
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("heartbeat to %q: give its api address as http://host:port", api)
	}
	l := &line{
		host: u.Host,
		head: []byte("POST /heartbeat HTTP/1.1\r\nHost: " + u.Host + "\r\n" + HeaderCluster + ": " + p.options.Cluster +
			"\r\nContent-Type: application/json\r\nContent-Length: "),
	}
	p.lines[api] = l
	return l, nil
}

// line is the kept connection to one member.
type line struct {
	host string
	head []byte // of each request, up to the length

	mu   sync.Mutex // one request at a time
	conn net.Conn
	in   *bufio.Reader
	out  []byte

	repeats repeats
}

// heartbeat makes one exchange. A kept connection may have been closed long ago, which says nothing of the host now: then
// it is made anew, and that tells.
func (l *line) heartbeat(ctx context.Context, self watchdog.Member) (watchdog.Member, bool, error) {
	body, err := json.Marshal(self)
	if err != nil {
		return watchdog.Member{}, false, fmt.Errorf("encode member: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(l.out[:0], l.head...)
	l.out = strconv.AppendInt(l.out, int64(len(body)), 10)
	l.out = append(append(l.out, "\r\n\r\n"...), body...)

	if l.conn != nil {
		peer, answered, err := l.exchange(ctx)
		if err == nil || answered || ctx.Err() != nil || isTimeout(err) {
			return peer, answered, err
		}
	}
	if err := l.dial(ctx); err != nil {
		return watchdog.Member{}, errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET), err
	}
	peer, answered, err := l.exchange(ctx)
	if err != nil && !answered && !isTimeout(err) && ctx.Err() == nil {
		answered = true // it accepted us just now and cut the line: it lives
	}
	return peer, answered, err
}

func (l *line) dial(ctx context.Context) error {
	dialer := net.Dialer{KeepAlive: -1} // heartbeats keep it alive
	conn, err := dialer.DialContext(ctx, "tcp", l.host)
	if err != nil {
		return err
	}
	l.conn = conn
	if l.in == nil {
		l.in = bufio.NewReaderSize(conn, 2<<10)
	} else {
		l.in.Reset(conn)
	}
	return nil
}

// exchange sends what is in out and reads the answer. answered says that an HTTP answer came. After any error the
// connection is closed, so that a late answer is never taken for the next request's.
func (l *line) exchange(ctx context.Context) (peer watchdog.Member, answered bool, err error) {
	defer func() {
		if err != nil {
			l.hangUp()
		}
	}()
	conn := l.conn
	deadline, _ := ctx.Deadline() // zero: none
	if err := conn.SetDeadline(deadline); err != nil {
		return watchdog.Member{}, false, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(l.out); err != nil {
		return watchdog.Member{}, false, err
	}
	response, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return watchdog.Member{}, false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return watchdog.Member{}, true, refused(response.StatusCode, response.Body)
	}
	buf := buffer()
	defer buffers.Put(buf)
	if _, err := buf.ReadFrom(io.LimitReader(response.Body, maxHeartbeat)); err != nil {
		return watchdog.Member{}, true, fmt.Errorf("read answer: %w", err)
	}
	peer, err = l.repeats.decode("", bytes.TrimSpace(buf.Bytes()))
	if err == nil && response.Close {
		l.hangUp()
	}
	return peer, true, err
}

// hangUp resets rather than closes: a request that still waits in the queue of a stopped process is then seen to be old.
func (l *line) hangUp() {
	if l.conn == nil {
		return
	}
	if tcp, ok := l.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	l.conn.Close()
	l.conn = nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
