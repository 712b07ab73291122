package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// ErrOccupied: there is something where a new data directory is to be.
var ErrOccupied = errors.New("not an empty place for a new data directory")

// The state directory's files.
const (
	creatingFile = "creating.json" // what lies beside the data directory is ours, and not whole
	createdFile  = "created.json"  // the data directory was made by Bootstrap or Join
)

// createNote is their content.
type createNote struct {
	Beside   string `json:"beside,omitempty"`
	SystemID string `json:"system_id,omitempty"`
}

// Blueprint is what a new server is to be.
type Blueprint struct {
	Config
	User     string   // of the operating system, that is to own it; empty: the directory's owner, else "postgres" as root, else we
	Passfile string   // with the replication role's password; empty: replication.pgpass in StateDir
	Locale   string   // of its databases
	Settings []string // name=value, for postgresql.conf
	HBA      []string // lines for pg_hba.conf
}

// Creation makes a new server: beside its place, and put there in one step when it is whole.
type Creation struct {
	*Instance
	blueprint Blueprint
	place     string // the data directory
	beside    string
	made      bool // it is there already, and by us
}

// Create finds out what there is. It changes nothing, and refuses, by ErrOccupied, a directory that holds anything but what an
// earlier Bootstrap or Join of ours made.
func Create(ctx context.Context, b Blueprint) (*Creation, error) {
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
	c := &Creation{Instance: &Instance{config: b.Config, log: b.Log}, blueprint: b, place: b.DataDir, beside: b.DataDir + ".new"}
	c.sessions.broken = make(chan struct{}, 1)
	if err := c.findUser(); err != nil {
		return nil, err
	}
	if err := c.findPlace(); err != nil {
		return nil, err
	}
	if err := c.findPrograms(ctx); err != nil {
		return nil, err
	}
	if c.blueprint.Passfile == "" {
		c.blueprint.Passfile = filepath.Join(b.StateDir, "replication.pgpass")
	}
	return c, c.completeReplication()
}

// Made says that the server is there already, by an earlier run.
func (c *Creation) Made() bool { return c.made }

// Passfile is where the replication role's password stands.
func (c *Creation) Passfile() string { return c.blueprint.Passfile }

// Replication are the conninfo words that standbys connect with.
func (c *Creation) Replication() string { return c.config.Replication }

// findUser finds out as whom the server is to run: never as root.
func (c *Creation) findUser() error {
	name := c.blueprint.User
	if info, err := os.Stat(c.place); err == nil && name == "" {
		if c.owner, err = ownerOf(info); err != nil {
			return err
		}
		if c.owner.uid != 0 {
			return c.owner.mayAct(c.place)
		}
	}
	if name == "" && os.Geteuid() == 0 {
		name = "postgres"
	}
	if name == "" {
		me, err := user.Current()
		if err != nil {
			return err
		}
		name = me.Username
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("find the user that PostgreSQL is to run as: %w: create it, or name another with --user", err)
	}
	c.owner = owner{name: u.Username, home: u.HomeDir}
	c.owner.uid, _ = strconv.Atoi(u.Uid)
	c.owner.gid, _ = strconv.Atoi(u.Gid)
	if c.owner.uid == 0 {
		return errors.New("PostgreSQL never runs as root: name its user with --user")
	}
	if me := os.Geteuid(); me != 0 && me != c.owner.uid {
		return fmt.Errorf("only %s or root may make a server of %s: run pgvigil as one of them", name, name)
	}
	return nil
}

// findPlace refuses a place that is taken, or that could not be filled in one step.
func (c *Creation) findPlace() error {
	entries, err := os.ReadDir(c.place)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.findBeside()
	case err != nil:
		return fmt.Errorf("look at %s: %w", c.place, err)
	case len(entries) == 0:
		mounted, err := c.mounted()
		if err != nil {
			return err
		}
		if mounted {
			return fmt.Errorf("%s is a mount point, which nothing can be renamed to: %w: give a directory in it", c.place, ErrOccupied)
		}
		return c.findBeside()
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "PG_VERSION" }) {
		return fmt.Errorf("%s holds %s and %d more: %w: give a directory that is empty or not there yet", c.place, entries[0].Name(), len(entries)-1, ErrOccupied)
	}
	note, err := c.note(createdFile)
	control, controlErr := readControl(c.place)
	if err != nil || controlErr != nil || note.SystemID != control.SystemID {
		return fmt.Errorf("%s holds a PostgreSQL data directory that pgvigil did not make: %w: pgvigil run adopts it as it stands; or give another directory", c.place, ErrOccupied)
	}
	c.made = true
	return nil
}

// findBeside refuses where something that is not ours lies where the server is to be made.
func (c *Creation) findBeside() error {
	if note, _ := c.note(creatingFile); exists(c.beside) && note.Beside != c.beside {
		return fmt.Errorf("%s is there, and not of our making: %w: move it away", c.beside, ErrOccupied)
	}
	return nil
}

func (c *Creation) note(name string) (note createNote, err error) {
	data, err := c.loadState(name)
	if err == nil {
		err = json.Unmarshal(data, &note)
	}
	return note, err
}

// findPrograms finds PostgreSQL's programs, the newest version's if none is said.
func (c *Creation) findPrograms(ctx context.Context) error {
	if c.made {
		if err := c.readVersion(); err != nil {
			return err
		}
		return c.findBinaries(ctx)
	}
	dirs := []string{c.config.BinDir}
	if c.config.BinDir == "" {
		dirs = nil
		for i := len(versions) - 1; i >= 0; i-- {
			dirs = append(dirs, filepath.Join("/usr/lib/postgresql", versions[i].name, "bin"), filepath.Join("/usr/pgsql-"+versions[i].name, "bin"))
		}
		if path, err := exec.LookPath("postgres"); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, dir := range dirs {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if c.version, err = versionOf(majorIn(string(out))); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		c.config.BinDir = dir
		if !c.version.passfileWord {
			return fmt.Errorf("%s is PostgreSQL %s: new clusters are made from 10 on: %w", dir, c.version.name, ErrUnsupportedVersion)
		}
		return nil
	}
	return fmt.Errorf("%w in %s: install PostgreSQL's server, or name its directory with --bin-dir", ErrNoBinaries, strings.Join(dirs, ", "))
}

// completeReplication fills in whom standbys connect as, and from where they have the password.
func (c *Creation) completeReplication() error {
	words, err := parseConninfo(c.config.Replication)
	if err != nil {
		return fmt.Errorf("the configured replication words: %w", err)
	}
	if words.get("user") == "" {
		words.set("user", "replicator")
	}
	switch {
	case words.get("passfile") != "":
		c.blueprint.Passfile = words.get("passfile")
	case words.get("password") != "":
		c.blueprint.Passfile = ""
	default:
		words.set("passfile", c.blueprint.Passfile)
	}
	c.config.Replication = words.String()
	return nil
}

// makeRoom makes the directory beside, empty, and notes that it is ours.
func (c *Creation) makeRoom() error {
	if err := c.makeDir(c.config.StateDir); err != nil {
		return err
	}
	data, err := json.Marshal(createNote{Beside: c.beside})
	if err == nil {
		err = c.saveState(creatingFile, data)
	}
	if err == nil {
		err = os.RemoveAll(c.beside) // of an earlier run of ours, by the note
	}
	if err != nil {
		return err
	}
	return c.makeDir(c.beside)
}

// makeDir makes a directory of the server's owner.
func (c *Creation) makeDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return c.give(path)
}

// give makes a file or directory the server's owner's.
func (c *Creation) give(path string) error {
	if !c.owner.other() {
		return nil
	}
	return os.Lchown(path, c.owner.uid, c.owner.gid)
}

// putInPlace gives the server that is whole its place in one step. From then on it is there.
func (c *Creation) putInPlace() error {
	control, err := readControl(c.beside)
	if err != nil {
		return err
	}
	data, err := json.Marshal(createNote{SystemID: control.SystemID})
	if err == nil {
		err = c.saveState(createdFile, data)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(c.beside, c.place); err != nil { // over an empty directory, if there is one
		return fmt.Errorf("put the new data directory in its place: %w", err)
	}
	if err := syncDir(filepath.Dir(c.place)); err != nil {
		return err
	}
	return removeDurably(filepath.Join(c.config.StateDir, creatingFile))
}

// open makes the instance that of the directory in its place.
func (c *Creation) open() error {
	if err := c.openDirectory(); err != nil {
		return err
	}
	c.locate()
	return nil
}

// giveState makes what we wrote to the state directory the owner's: its sidecar goes on there.
func (c *Creation) giveState() error {
	entries, err := os.ReadDir(c.config.StateDir)
	for _, e := range entries {
		err = errors.Join(err, c.give(filepath.Join(c.config.StateDir, e.Name())))
	}
	return err
}

// port is the one at which the server is to be reached.
func (c *Creation) port() string {
	_, port, _ := net.SplitHostPort(c.config.Address)
	return port
}

// user is whom standbys connect as.
func (c *Creation) user() string {
	words, _ := parseConninfo(c.config.Replication) // it was parsed before
	return words.get("user")
}

// Existing says what is there already, in words, and starts a server that an earlier run has put in its place and not started.
// One that a sidecar has looked after is its sidecar's to start.
func (c *Creation) Existing(ctx context.Context) (string, error) {
	if err := c.open(); err != nil {
		return "", err
	}
	defer c.Close()
	what := fmt.Sprintf("%s holds the PostgreSQL %s server that an earlier run made", c.place, c.version.name)
	if server, _ := c.Observe(ctx); server.PID != 0 {
		return fmt.Sprintf("%s, and it runs (%s)", what, server.Role), nil
	}
	if exists(filepath.Join(c.config.StateDir, "state.json")) {
		return what + "; it is down, and its sidecar's to start: pgvigil run", nil
	}
	start := c.startAsPrimary
	if exists(c.latchFile()) {
		start = c.start
	}
	if err := start(ctx); err != nil {
		return "", err
	}
	return what + "; it was down, and has been started", errors.Join(c.answers(ctx), c.giveState())
}

// startAsPrimary starts a server that has never been in a cluster, beside no latch.
func (c *Creation) startAsPrimary(ctx context.Context) error {
	if err := c.mayStart(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := c.launch(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// answers waits until the server is a primary or a standby that answers.
func (c *Creation) answers(ctx context.Context) error {
	var last watchdog.Server
	err := poll(ctx, startTick, func() (bool, error) {
		last, _ = c.Observe(ctx)
		if last.PID == 0 {
			return false, fmt.Errorf("%w: it ended, and its log says why", ErrNotRunning)
		}
		return last.Role == watchdog.RolePrimary || last.Role == watchdog.RoleStandby, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the new server answers: %w: %s", err, last.Problem)
	}
	return nil
}
