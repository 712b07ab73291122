package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/freeport"
)

// receiverAt, in the environment, makes the test's program a webhook receiver on that address instead, so that it can be killed
// as one. receiverFile is where it notes what it takes.
const receiverAt, receiverFile = "PGVIGIL_TEST_RECEIVER", "PGVIGIL_TEST_RECEIVED"

// hookSecret is the key of the webhook's HMAC.
const hookSecret = "s3cret"

// receive takes signed alerts and answers once one is safe on disk, until it is killed.
func receive(address, file string) error {
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hookSecret))
		fmt.Fprintf(mac, "%s.%s", r.Header.Get("X-Pgvigil-Timestamp"), body)
		if err != nil || r.Header.Get("X-Pgvigil-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			http.Error(w, "this is no signed alert", http.StatusForbidden)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := out.Write(append(body, '\n')); err != nil || out.Sync() != nil {
			http.Error(w, "it cannot be kept", http.StatusInsufficientStorage)
		}
	}))
}

// process is a program beside the cluster that a test stops, kills and starts again.
type process struct {
	t   *testing.T
	new func() *exec.Cmd
	run *exec.Cmd
}

func startProcess(t *testing.T, program func() *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, new: program}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.run = p.new()
	p.run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.run.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.run.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.run.Path, err)
	}
}

func (p *process) kill() {
	_ = p.run.Process.Kill()
	_ = p.run.Wait()
}

// hookProcess is a webhook receiver in a process of its own.
func hookProcess(t *testing.T) (address string, p *process, in func() *inbox) {
	t.Helper()
	at, file := freeAddress(t), filepath.Join(t.TempDir(), "received")
	p = startProcess(t, func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Stderr = os.Stderr
		c.Env = append(os.Environ(), receiverAt+"="+at, receiverFile+"="+file)
		return c
	})
	return "http://" + at, p, func() *inbox { return inboxOf(t, file) }
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// inboxOf reads a file of alerts, one in a line. The last line may still be being written.
func inboxOf(t *testing.T, file string) *inbox {
	t.Helper()
	text, _ := os.ReadFile(file)
	in := &inbox{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := in.put([]byte(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	return in
}

// alertmanager is Debian's, with a receiver of ours.
type alertmanager struct {
	*process
	address string
	notices chan string // status and kind of each alert that it tells of
}

func startAlertmanager(t *testing.T) *alertmanager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Skip("prometheus-alertmanager is missing: apt-get install prometheus-alertmanager")
	}
	m := &alertmanager{address: freeAddress(t), notices: make(chan string, 1000)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var notice struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&notice); err == nil {
			for _, a := range notice.Alerts {
				m.notices <- a.Status + " " + a.Labels["kind"]
			}
		}
	}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	settings := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf("route: {receiver: us, group_by: ['...'], group_wait: 1s, group_interval: 1s}\nreceivers: [{name: us, webhook_configs: [{url: '%s'}]}]\n", receiver.URL)
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m.process = startProcess(t, func() *exec.Cmd {
		return exec.Command(program, "--config.file="+settings, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+m.address, "--cluster.listen-address=")
	})
	return m
}

// tells waits until it has told its receiver.
func (m *alertmanager) tells(want string) {
	m.t.Helper()
	for deadline := time.After(rejoin); ; {
		select {
		case got := <-m.notices:
			if got == want {
				return
			}
		case <-deadline:
			m.t.Fatalf("Alertmanager does not tell: %s", want)
		}
	}
}

// standing is an alert that Alertmanager holds.
type standing struct {
	Labels map[string]string
	EndsAt time.Time
}

// holds reads its alerts; an error is none, for polling.
func (m *alertmanager) holds() (all []standing) {
	client := &http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + m.address + "/api/v2/alerts")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		return nil
	}
	return all
}
