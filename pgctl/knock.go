package pgctl

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Knock opens a new connection and waits for the first byte of an answer to a request for TLS, which a postmaster that can
// neither accept nor fork does not give. It logs in as nobody, so that neither passwords nor connection slots matter (F47,
// F48).
func (in *Instance) Knock(ctx context.Context) error {
	network, address, err := in.door()
	if err != nil {
		return err
	}
	conn, err := in.dial(ctx, network, address)
	if err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	return knockOn(ctx, conn)
}

// KnockAt does so at another server, by its host:port.
func (in *Instance) KnockAt(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	return knockOn(ctx, conn)
}

func knockOn(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(sslRequest); err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	var answer [1]byte
	if _, err := conn.Read(answer[:]); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("knock: no answer to a new connection: %w", err)
	}
	return nil
}

// sslRequest is the message that asks whether the server would speak TLS: it answers with one byte.
var sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// door is where new connections are made.
func (in *Instance) door() (network, address string, err error) {
	if in.config.Connect == "" {
		path, err := in.where().socketPath()
		return "unix", path, err
	}
	config, err := pgconn.ParseConfig(in.config.Connect)
	if err != nil {
		return "", "", err
	}
	network, address = pgconn.NetworkAddress(config.Host, config.Port)
	return network, address, nil
}
