package pgctl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// JoinPlan says, step by step, what Join does.
func (c *Creation) JoinPlan(upstream watchdog.Upstream) []string {
	return []string{
		fmt.Sprintf("a base backup of %s at %s into %s as user %s, with %s", upstream.Name, upstream.Address, c.beside, c.owner.name, withoutPassword(c.config.Replication)),
		fmt.Sprintf("settings: port %s%s, %s, primary_conninfo", c.port(), andMore(c.blueprint.Settings), filepath.Base(c.latchFile())),
		fmt.Sprintf("rename %s to %s", c.beside, c.place),
		"start the server, and wait until it streams",
	}
}

func andMore(settings []string) string {
	if len(settings) == 0 {
		return ""
	}
	return ", " + strings.Join(settings, ", ")
}

func withoutPassword(words string) string {
	c, err := parseConninfo(words)
	if err != nil {
		return ""
	}
	c.drop("password")
	return c.String()
}

// Join makes a standby of upstream, and returns once it streams. systemID is that of the cluster; empty: not known. tell is
// called with each step as it begins, and progress with how many kB of the base backup are there, of about how many. After a
// crash it may be called again: what was not put in its place is made anew.
func (c *Creation) Join(ctx context.Context, upstream watchdog.Upstream, systemID string, tell func(step string), progress func(done, all int64)) error {
	if err := c.join(ctx, upstream, systemID, tell, progress); err != nil {
		return fmt.Errorf("join %s: %w", upstream.Name, err)
	}
	return nil
}

func (c *Creation) join(ctx context.Context, upstream watchdog.Upstream, systemID string, tell func(step string), progress func(done, all int64)) error {
	if _, err := c.password(false); err != nil {
		return err
	}
	if _, err := c.binary("pg_basebackup"); err != nil {
		return err
	}
	tell("base backup")
	if err := c.makeRoom(); err != nil {
		return err
	}
	t := c.twin(c.beside)
	if err := c.baseBackup(ctx, upstream, progress); err != nil {
		return err
	}
	switch control, err := readControl(c.beside); {
	case err != nil:
		return err
	case systemID != "" && control.SystemID != systemID:
		return fmt.Errorf("%s is of system %s, and the cluster of %s: correct postgres.address of that member", upstream.Address, control.SystemID, systemID)
	}
	tell("settings")
	if err := c.configureStandby(ctx, t, upstream); err != nil {
		return err
	}
	tell("start")
	if err := c.putInPlace(); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	defer c.Close()
	streaming := &cloning{Instance: c.Instance, upstream: upstream}
	return errors.Join(streaming.startCopy(ctx), c.giveState())
}

// configureStandby makes a base backup this member's own standby.
func (c *Creation) configureStandby(ctx context.Context, t *Instance, upstream watchdog.Upstream) error {
	conf := filepath.Join(c.beside, "postgresql.conf")
	if !exists(conf) {
		return errors.New("the copy has no postgresql.conf: the primary's lies elsewhere (Debian has it in /etc); make this server with the tools that made that one, and let pgvigil run adopt it")
	}
	own := append([]string{"port=" + c.port()}, c.blueprint.Settings...)
	if err := t.editConf(conf, func(f *confFile) {
		for _, setting := range own {
			name, value, _ := strings.Cut(setting, "=")
			f.set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}); err != nil {
		return err
	}
	if err := t.editAuto(func(f *confFile) { f.unset("port") }); err != nil { // it would win
		return err
	}
	if err := t.Latch(ctx); err != nil {
		return err
	}
	if _, err := t.usersConninfo(); err != nil {
		return err
	}
	text, err := t.conninfoFor(upstream)
	if err != nil {
		return err
	}
	if _, err := t.attach(text); err != nil {
		return err
	}
	s, err := t.settings()
	if err != nil {
		return err
	}
	trigger, err := t.triggerFile(s)
	if err != nil || trigger != "" || c.version.triggerSetting == "" {
		return err
	}
	if c.version.recoveryConf {
		_, err = t.editStandby(func(f *confFile) { f.set(c.version.triggerSetting, filepath.Join(c.place, newTrigger)) })
		return err
	}
	return t.setAuto(map[string]string{c.version.triggerSetting: newTrigger})
}

// baseBackup runs pg_basebackup and passes on how far it is.
func (c *Creation) baseBackup(ctx context.Context, upstream watchdog.Upstream, progress func(done, all int64)) error {
	words, err := parseConninfo(c.config.Replication)
	if err != nil {
		return err
	}
	if words, err = words.pointed(upstream.Address, copyApplication, conninfo{}); err != nil {
		return err
	}
	from := sourceOf(words)
	cmd, err := c.command(ctx, "pg_basebackup", "-D", c.beside, "-d", from.conninfo, "-X", "stream", "-c", "fast", "-P", "-w")
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, from.environment()...)
	said, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	complaints := make(chan string, 1)
	go func() { complaints <- readProgress(said, progress) }()
	err = cmd.Run()
	_ = write.Close() // it never fails
	if complaint := <-complaints; err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return programError("pg_basebackup", err, complaint)
	}
	return nil
}

var backupProgress = regexp.MustCompile(`^\s*(\d+)/(\d+) kB`)

// readProgress reads what pg_basebackup -P says to its end, and returns what was no progress.
func readProgress(r io.Reader, progress func(done, all int64)) string {
	var complaints []string
	lines := bufio.NewScanner(r)
	lines.Split(func(data []byte, end bool) (int, []byte, error) {
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
			return i + 1, data[:i], nil
		}
		if end && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		found := backupProgress.FindStringSubmatch(lines.Text())
		if found == nil {
			if strings.TrimSpace(lines.Text()) != "" {
				complaints = append(complaints, lines.Text())
			}
			continue
		}
		done, _ := strconv.ParseInt(found[1], 10, 64)
		all, _ := strconv.ParseInt(found[2], 10, 64)
		progress(done, all)
	}
	return strings.Join(complaints, "\n")
}
