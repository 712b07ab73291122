package pgctl

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgpassfile"
)

// BootstrapPlan says, step by step, what Bootstrap does.
func (c *Creation) BootstrapPlan() []string {
	password := "take the replication role's password from postgres.replication"
	if p := c.blueprint.Passfile; p != "" {
		password = "write a password for the replication role to " + p
		if exists(p) {
			password = "take the replication role's password from " + p
		}
	}
	return []string{
		password,
		fmt.Sprintf("initdb of PostgreSQL %s in %s as user %s, with checksums", c.version.name, c.beside, c.owner.name),
		"settings in postgresql.conf: " + strings.Join(c.newSettings(), ", "),
		"lines in pg_hba.conf: " + strings.Join(c.newHBA(), "; "),
		fmt.Sprintf("role %s, which may replicate and serve pg_rewind", c.user()),
		fmt.Sprintf("rename %s to %s", c.beside, c.place),
		"start the server as a primary on port " + c.port(),
	}
}

// Bootstrap makes the cluster's first primary, and starts it. tell is called with each step as it begins. After a crash it may
// be called again: what was not put in its place is made anew.
func (c *Creation) Bootstrap(ctx context.Context, tell func(step string)) error {
	if err := c.bootstrap(ctx, tell); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

func (c *Creation) bootstrap(ctx context.Context, tell func(step string)) error {
	tell("initdb")
	if err := c.makeRoom(); err != nil {
		return err
	}
	password, err := c.password(true)
	if err != nil {
		return err
	}
	if err := c.initdb(ctx); err != nil {
		return err
	}
	tell("settings, pg_hba.conf and the replication role")
	if err := c.configureNew(); err != nil {
		return err
	}
	if err := c.createRole(ctx, password); err != nil {
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
	if err := c.startAsPrimary(ctx); err != nil {
		return err
	}
	return errors.Join(c.answers(ctx), c.giveState())
}

// password is the replication role's: the configured, the passfile's or, where it may be made up, a new one in the passfile.
func (c *Creation) password(mayMake bool) (string, error) {
	words, err := parseConninfo(c.config.Replication)
	if err != nil {
		return "", err
	}
	path := c.blueprint.Passfile
	if path == "" {
		return words.get("password"), nil
	}
	host, port, _ := net.SplitHostPort(c.config.Address)
	file, err := pgpassfile.ReadPassfile(path)
	switch {
	case err == nil:
		if password := file.FindPassword(host, port, "replication", words.get("user")); password != "" {
			return password, c.give(path)
		}
		return "", fmt.Errorf("%s has no line for user %s: add *:*:*:%s:PASSWORD", path, words.get("user"), words.get("user"))
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read the replication role's password: %w", err)
	case !mayMake:
		return "", fmt.Errorf("there is no %s: copy it from the host on which pgvigil bootstrap made it, with mode 0600", path)
	}
	var secret [24]byte
	_, _ = rand.Read(secret[:]) // never fails, by its documentation
	password := hex.EncodeToString(secret[:])
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := replaceFile(path, []byte("*:*:*:"+words.get("user")+":"+password+"\n"), 0o600); err != nil {
		return "", err
	}
	return password, c.give(path)
}

func (c *Creation) initdb(ctx context.Context) error {
	args := []string{"-D", c.beside, "-k", "-E", "UTF8", "--auth-local=peer", "--auth-host=scram-sha-256", "-U", c.owner.name}
	if c.blueprint.Locale != "" {
		args = append(args, "--locale="+c.blueprint.Locale)
	}
	_, err := c.run(ctx, "initdb", args...)
	return err
}

// newSettings are those that a cluster of pgvigil's begins with.
func (c *Creation) newSettings() []string {
	s := []string{
		"listen_addresses=*", "port=" + c.port(), "wal_level=replica", "hot_standby=on", "max_wal_senders=10", "max_replication_slots=10",
		"wal_sender_timeout=30s", "wal_receiver_timeout=30s", "wal_retrieve_retry_interval=500ms", "password_encryption=scram-sha-256",
	}
	if c.version.walKeepSize {
		s = append(s, "wal_keep_size=1GB")
	} else {
		s = append(s, "wal_keep_segments=64")
	}
	if c.version.triggerSetting != "" && !c.version.recoveryConf {
		s = append(s, c.version.triggerSetting+"="+newTrigger)
	}
	return append(s, c.blueprint.Settings...)
}

// newTrigger is the trigger file of servers that we make, in the data directory.
const newTrigger = "pgvigil.trigger"

// newHBA are the lines by which standbys and pg_rewind are let in, and what was asked for.
func (c *Creation) newHBA() []string {
	user := c.user()
	return append([]string{
		"host replication " + user + " samenet scram-sha-256", "host postgres " + user + " samenet scram-sha-256",
	}, c.blueprint.HBA...)
}

// configureNew writes settings and lines into what initdb made.
func (c *Creation) configureNew() error {
	t := c.twin(c.beside)
	err := t.editConf(filepath.Join(c.beside, "postgresql.conf"), func(f *confFile) {
		for _, setting := range c.newSettings() {
			name, value, _ := strings.Cut(setting, "=")
			f.set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	})
	if err != nil {
		return err
	}
	path := filepath.Join(c.beside, "pg_hba.conf")
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// Above initdb's own: the first line that matches counts.
	lines := "# Standbys, pg_rewind and what else was asked for, by pgvigil bootstrap.\n" + strings.Join(c.newHBA(), "\n") + "\n\n"
	return t.writeFile(path, append([]byte(lines), before...), 0o600)
}

// createRole makes the replication role, by a server in single-user mode: nobody else can connect meanwhile.
func (c *Creation) createRole(ctx context.Context, password string) error {
	name := `"` + strings.ReplaceAll(c.user(), `"`, `""`) + `"`
	statements := []string{fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION PASSWORD '%s'", name, strings.ReplaceAll(password, "'", "''"))}
	if c.version.rewindGrants {
		for _, function := range rewindFunctions {
			statements = append(statements, fmt.Sprintf("GRANT EXECUTE ON FUNCTION %s TO %s", function, name))
		}
	}
	cmd, err := c.command(ctx, "postgres", "--single", "-D", c.beside, "-c", "exit_on_error=on", "-c", "log_min_messages=error", "postgres")
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.Join(statements, "\n")+"\n"), &said, &said
	if err := cmd.Run(); err != nil {
		return programError("create the replication role", err, strings.ReplaceAll(said.String(), password, "…"))
	}
	return nil
}
