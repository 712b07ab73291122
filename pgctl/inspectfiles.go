package pgctl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog/check"
)

// inspectFiles looks at the data directory and what starts its server.
func (in *Instance) inspectFiles(ctx context.Context, h *check.Host) {
	if c, err := in.control(ctx); err == nil {
		h.SystemID = c.SystemID
	}
	h.StandbyFile = exists(in.latchFile())
	h.Restore, _ = in.standbySetting("restore_command")
	h.Units = in.bootUnits("/")
	s, err := in.settings()
	if err != nil {
		return // the server is asked, and says more
	}
	if err := in.permits(s); err != nil {
		h.Forbidden = err.Error()
	}
	paths, err := in.triggers(s)
	if err != nil {
		return
	}
	for _, path := range paths {
		if exists(path) {
			h.Triggers = append(h.Triggers, path)
		}
	}
	if trigger, err := in.triggerFile(s); err == nil && trigger != "" {
		dir := filepath.Dir(beside(filepath.Join(in.config.DataDir, "x"), trigger))
		if in.owner.act(func() error { return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) }) != nil {
			h.TriggerAt = dir
		}
	}
}

// inspectMachine looks at the disk and the clock.
func (in *Instance) inspectMachine(_ context.Context, h *check.Host) {
	var disk unix.Statfs_t
	if unix.Statfs(in.config.DataDir, &disk) == nil {
		h.Space = &check.Space{Path: in.config.DataDir, Free: disk.Bavail * uint64(disk.Bsize), Size: disk.Blocks * uint64(disk.Bsize)}
	}
	c := &cloning{Instance: in}
	spaces, _ := os.ReadDir(filepath.Join(in.config.DataDir, "pg_tblspc"))
	switch err := c.movable(); {
	case err != nil:
		h.NoClone = withoutSentinel(err)
	case len(spaces) > 0:
		h.NoClone = withoutSentinel(errTablespaces(len(spaces)))
	}
	var timex unix.Timex
	state, err := unix.Adjtimex(&timex)
	h.Unsynced = err == nil && state == unix.TIME_ERROR
}

// withoutSentinel takes the words for programs off an error.
func withoutSentinel(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": not possible here")
	return text
}

// wanted are the directories by whose entries systemd starts units at boot, below the root.
var wanted = []string{"etc/systemd/system/*.wants", "run/systemd/generator*/*.wants", "run/systemd/system/*.wants"}

// bootUnits are the systemd units that start this server at boot: Debian's for its cluster, and any whose file names our data
// directory and not pgvigil.
func (in *Instance) bootUnits(root string) (units []check.Unit) {
	version, cluster := in.debianCluster(root)
	seen := map[string]bool{}
	add := func(u check.Unit) {
		if !seen[u.Name] {
			seen[u.Name] = true
			units = append(units, u)
		}
	}
	for _, pattern := range wanted {
		links, _ := filepath.Glob(filepath.Join(root, pattern, "*.service"))
		for _, link := range links {
			name := filepath.Base(link)
			switch {
			case cluster != "" && name == "postgresql.service" && in.startsAutomatically(root, version, cluster):
				conf := filepath.Join("/etc/postgresql", version, cluster, "start.conf")
				add(check.Unit{Name: "postgresql@" + version + "-" + cluster + ".service", How: conf + " says auto", Mend: "echo manual > " + conf})
			case cluster != "" && name == "postgresql@"+version+"-"+cluster+".service" && !strings.Contains(link, "/generator"),
				in.unitNamesUs(link):
				add(check.Unit{Name: name, How: link, Mend: "systemctl disable " + name})
			}
		}
	}
	return units
}

// debianCluster is how Debian's tools call this server, empty where it is none of theirs.
func (in *Instance) debianCluster(root string) (version, cluster string) {
	for _, path := range []string{in.where().configFile, in.config.DataDir} {
		for _, base := range []string{filepath.Join(root, "etc/postgresql"), filepath.Join(root, "var/lib/postgresql")} {
			rest, err := filepath.Rel(base, path)
			parts := strings.Split(rest, "/")
			if err == nil && len(parts) >= 2 && parts[0] == in.version.name {
				return parts[0], parts[1]
			}
		}
	}
	return "", ""
}

// startsAutomatically says whether Debian starts the cluster at boot: unless its start.conf says manual or disabled.
func (in *Instance) startsAutomatically(root, version, cluster string) bool {
	dir := filepath.Join(root, "etc/postgresql", version, cluster)
	data, err := os.ReadFile(filepath.Join(dir, "start.conf"))
	if errors.Is(err, fs.ErrNotExist) {
		return exists(filepath.Join(dir, "postgresql.conf"))
	}
	for line := range strings.Lines(string(data)) {
		if word := strings.TrimSpace(line); word != "" && word[0] != '#' {
			return word == "auto"
		}
	}
	return err == nil
}

// unitNamesUs says whether a unit, or a file that is dropped in to it, names our data directory, and it is not pgvigil's own.
func (in *Instance) unitNamesUs(link string) bool {
	path, err := filepath.EvalSymlinks(link)
	if err != nil {
		return false
	}
	system := filepath.Dir(filepath.Dir(link))
	dropIns, _ := filepath.Glob(filepath.Join(system, filepath.Base(link)+".d", "*.conf"))
	var text strings.Builder
	for _, file := range append([]string{path}, dropIns...) {
		if data, err := os.ReadFile(file); err == nil {
			text.Write(data)
			text.WriteByte('\n')
		}
	}
	if strings.Contains(text.String(), "pgvigil") {
		return false
	}
	for word := range strings.FieldsFuncSeq(text.String(), func(r rune) bool { return strings.ContainsRune(" \t\n=\"':", r) }) {
		if filepath.IsAbs(word) && filepath.Clean(word) == in.config.DataDir {
			return true
		}
	}
	return false
}
