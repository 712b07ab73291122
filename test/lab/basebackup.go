package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

var firstNumber = regexp.MustCompile(`\d+`)

// Major is the major version of the PostgreSQL whose programs are in binDir.
func Major(binDir string) (int, error) {
	path := filepath.Join(binDir, "postgres")
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("%s --version: %w", path, err)
	}
	major, err := strconv.Atoi(firstNumber.FindString(string(out)))
	if err != nil {
		return 0, fmt.Errorf("%s --version says %q", path, out)
	}
	return major, nil
}

// copyFrom makes a standby of up, as somebody does by hand.
func (n *Node) copyFrom(ctx context.Context, up *Node) error {
	if _, err := os.Stat(filepath.Join(n.options.BinDir, "pg_basebackup")); err == nil {
		return n.run("pg_basebackup", "-h", up.host, "-p", fmt.Sprint(up.Port), "-U", "replicator", "-D", n.DataDir(), "-R", "-c", "fast", "--no-sync")
	}
	if err := n.copyByHand(ctx, up); err != nil {
		return fmt.Errorf("copy %s to %s by hand: %w", up.Name, n.Name, err)
	}
	conninfo := fmt.Sprintf("primary_conninfo = 'user=replicator host=%s port=%d'", up.host, up.Port)
	if err := appendTo(filepath.Join(n.DataDir(), "postgresql.auto.conf"), conninfo); err != nil {
		return err
	}
	return n.create("standby.signal", "")
}

// copyByHand is for packages that have the server's own programs alone: a copy between the start and the stop of a backup, in
// one session, which keeps the backup going.
func (n *Node) copyByHand(ctx context.Context, up *Node) error {
	major, err := Major(n.options.BinDir)
	if err != nil {
		return err
	}
	start, stop := "SELECT pg_backup_start('lab', true)", "SELECT labelfile FROM pg_backup_stop(false)"
	if major < 15 {
		start, stop = "SELECT pg_start_backup('lab', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
	}
	conn, err := up.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, start); err != nil {
		return err
	}
	if err := n.copyFiles(up); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, stop).Scan(&label); err != nil {
		return err
	}
	// last, so that it reaches to the end of the backup
	if err := n.runPath("cp", "-a", filepath.Join(up.DataDir(), "pg_wal"), n.DataDir()); err != nil {
		return err
	}
	return n.create("backup_label", label)
}

// copyFiles copies what does not belong to the running server alone. Up to 14 files come and go in pg_stat_tmp, and cp would
// stumble over them.
func (n *Node) copyFiles(up *Node) error {
	entries, err := os.ReadDir(up.DataDir())
	if err != nil {
		return err
	}
	copying := []string{"-a"}
	for _, e := range entries {
		if !slices.Contains([]string{"postmaster.pid", "postmaster.opts", "pg_wal", "pg_stat_tmp"}, e.Name()) {
			copying = append(copying, filepath.Join(up.DataDir(), e.Name()))
		}
	}
	if err := n.runPath("mkdir", "-m", "700", n.DataDir(), filepath.Join(n.DataDir(), "pg_stat_tmp")); err != nil {
		return err
	}
	return n.runPath("cp", append(copying, n.DataDir())...)
}

// create makes a file of the data directory, of the servers' user: PostgreSQL opens such files for writing.
func (n *Node) create(name, content string) error {
	path := filepath.Join(n.DataDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil || n.as == nil {
		return err
	}
	return os.Chown(path, int(n.as.Uid), int(n.as.Gid))
}
