package command

import (
	"context"
	"strings"
	"testing"
	"time"
)

func shell(ctx context.Context, script string) (string, error) {
	return Run(ctx, Call{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PGVIGIL_X=y"}, Stdin: []byte("in\n")})
}

func TestWhatAProgramIsGivenAndSays(t *testing.T) {
	t.Setenv("PGVIGIL_ETCD_PASSWORD", "secret")
	said, err := shell(t.Context(), `read line; echo "$line $PGVIGIL_X $PGVIGIL_ETCD_PASSWORD"; pwd >&2`)
	if err != nil || said != "in y \n/" {
		t.Errorf("%q %v", said, err)
	}
	said, err = shell(t.Context(), "head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 3")
	if err == nil || !strings.Contains(err.Error(), "run /bin/sh: exit status 3") || len(said) > saidMost || !strings.HasSuffix(said, "xend") {
		t.Errorf("%d bytes, %v", len(said), err)
	}
}

// A program that has ended well leaves what it started running, and that is no failure.
func TestAProgramMayLeaveADaemonBehind(t *testing.T) {
	began := time.Now()
	said, err := shell(t.Context(), "sleep 20 & echo started")
	if err != nil || said != "started" || time.Since(began) > 10*time.Second {
		t.Errorf("%q %v after %s", said, err, time.Since(began))
	}
}

// A child that has left the group, and holds the output open, does not hold us.
func TestTheEndOfItsTimeIsKeptTo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := shell(ctx, "setsid sleep 20 & sleep 300")
	if err == nil || !strings.Contains(err.Error(), "killed") || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
