package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/pgctl/process"
)

// place is where a server's configuration and socket are.
type place struct {
	configFile  string
	commandLine map[string]string // settings given to the postmaster, by name
	options     []string          // those options as they were, for the next start
	port        int
	sockets     []string // directories in which its socket may lie, the likeliest first
}

const defaultPort = 5432

// builtInSockets are the socket directories that PostgreSQL is compiled with: Debian's and Red Hat's, and its own.
var builtInSockets = []string{"/var/run/postgresql", "/run/postgresql", "/tmp"}

// where returns what locate last found.
func (in *Instance) where() place {
	in.lookup.Lock()
	defer in.lookup.Unlock()
	return in.place
}

// locate finds out where the configuration and the socket are: from the running postmaster, else from what its last start
// left behind, else from the configuration files, else by default.
func (in *Instance) locate() {
	words := in.serverWords()
	options, main := splitOptions(words, in.config.DataDir)
	p := place{commandLine: optionSettings(options), options: options, port: defaultPort}
	p.configFile = in.findConfig(p.commandLine["config_file"], main)
	s, err := readSettings(p.configFile, in.config.DataDir, p.commandLine)
	if err != nil {
		in.log.Debug("configuration is not readable", "error", err)
		s = settings{}
	}
	if port, err := strconv.Atoi(s.get("port")); err == nil {
		p.port = port
	}
	for dir := range strings.SplitSeq(s.get(in.version.socketSetting), ",") {
		if dir = strings.Trim(strings.TrimSpace(dir), `"`); dir != "" {
			p.sockets = append(p.sockets, beside(filepath.Join(in.config.DataDir, "x"), dir))
		}
	}
	if lines := pidFileLines(in.config.DataDir); len(lines) >= 7 { // 9.0 has fewer
		p.heed(lines)
	}
	if len(p.sockets) == 0 {
		p.sockets = builtInSockets
	}
	in.lookup.Lock()
	in.place = p
	in.lookup.Unlock()
}

// heed takes port and socket directory from postmaster.pid.
func (p *place) heed(lines []string) {
	if port, err := strconv.Atoi(lines[3]); err == nil && port > 0 {
		p.port = port
	}
	if dir := lines[4]; dir != "" {
		p.sockets = append([]string{dir}, p.sockets...)
	}
}

// pidFileLines returns the lines of postmaster.pid, none if there is no such file.
func pidFileLines(dataDir string) []string {
	data, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// serverWords returns the words of the postmaster's command line, the running one's or the last one's, without the program.
func (in *Instance) serverWords() []string {
	if pid, ok := process.Postmaster(in.Directory()); ok {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		words := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
		if err == nil && len(words) > 1 {
			return words[1:]
		}
	}
	data, err := os.ReadFile(filepath.Join(in.config.DataDir, "postmaster.opts"))
	if err != nil {
		return nil
	}
	return optsWords(string(data))
}

// optsWords reads postmaster.opts: the program, then each word in double quotes, which nothing escapes.
func optsWords(content string) []string {
	content, _, _ = strings.Cut(content, "\n")
	_, rest, found := strings.Cut(content, ` "`)
	if !found {
		return nil
	}
	return strings.Split(strings.TrimSuffix(rest, `"`), `" "`)
}

// ownSettings are set by pgvigil, and so not taken over from a command line, where they would win.
var ownSettings = []string{"primary_conninfo", "restore_command", "recovery_target_timeline", "promote_trigger_file"}

// splitOptions takes the data directory out of a postmaster's words. A directory other than dataDir is where its
// configuration lies, and is returned as that.
func splitOptions(words []string, dataDir string) (options []string, configDir string) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		dir, joined := strings.CutPrefix(word, "-D")
		switch {
		case word == "-D" && i+1 < len(words):
			i++
			dir = words[i]
		case !joined:
			options = append(options, word)
			continue
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if dir != dataDir {
			configDir = dir
		}
	}
	return withoutOwn(options), configDir
}

// withoutOwn drops options that set what pgvigil sets.
func withoutOwn(options []string) []string {
	var kept []string
	for i := 0; i < len(options); i++ {
		width, name, _ := option(options[i:])
		drop := false
		for _, own := range ownSettings {
			drop = drop || name == own
		}
		if !drop {
			kept = append(kept, options[i:i+width]...)
		}
		i += width - 1
	}
	return kept
}

// optionSettings returns the settings that a postmaster's options amount to.
func optionSettings(options []string) map[string]string {
	s := map[string]string{}
	for i := 0; i < len(options); {
		width, name, value := option(options[i:])
		if name != "" {
			s[name] = value
		}
		i += width
	}
	return s
}

// shortOptions are the postmaster's single letters that matter here.
var shortOptions = map[string]string{"-p": "port", "-k": "unix_socket_directories", "-h": "listen_addresses", "-N": "max_connections"}

// option reads the option at the start of words: how many words it takes, and what it sets.
func option(words []string) (width int, name, value string) {
	word := words[0]
	assign := func(text string) (string, string) {
		name, value, _ := strings.Cut(text, "=")
		return strings.ReplaceAll(strings.ToLower(name), "-", "_"), value
	}
	if text, long := strings.CutPrefix(word, "--"); long {
		name, value = assign(text)
		return 1, name, value
	}
	if len(word) < 2 || word[0] != '-' {
		return 1, "", ""
	}
	letter, rest := word[:2], word[2:]
	setting := shortOptions[letter]
	if setting == "" && letter != "-c" {
		return 1, "", ""
	}
	width = 1
	if rest == "" {
		if len(words) < 2 {
			return 1, "", ""
		}
		width, rest = 2, words[1]
	}
	if letter == "-c" {
		name, value = assign(rest)
		return width, name, value
	}
	return width, setting, rest
}

// findConfig returns the path of the main configuration file.
func (in *Instance) findConfig(given, configDir string) string {
	inside := filepath.Join(in.config.DataDir, "postgresql.conf")
	candidates := []string{}
	if given != "" {
		candidates = append(candidates, beside(inside, given))
	}
	if configDir != "" {
		candidates = append(candidates, filepath.Join(configDir, "postgresql.conf"))
	}
	candidates = append(candidates, inside)
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if path := in.findDebianConfig(); path != "" {
		return path
	}
	return inside
}

// findDebianConfig looks for a cluster of Debian's whose configuration names our data directory.
func (in *Instance) findDebianConfig() string {
	paths, _ := filepath.Glob(filepath.Join("/etc/postgresql", in.version.name, "*", "postgresql.conf"))
	for _, path := range paths {
		s, err := readSettings(path, in.config.DataDir, nil)
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(s.get("data_directory")); err == nil && real == in.config.DataDir {
			return path
		}
	}
	return ""
}

// findBinaries finds PostgreSQL's programs: beside the one that runs, where Debian has them, where Red Hat has them, in
// PATH. They must be of the data directory's major version.
func (in *Instance) findBinaries(ctx context.Context) error {
	var candidates []string
	if in.config.BinDir != "" {
		candidates = []string{in.config.BinDir}
	} else {
		candidates = in.likelyBinDirs()
	}
	var tried []error
	for _, dir := range candidates {
		err := in.suits(ctx, dir)
		if err == nil {
			in.config.BinDir = dir
			return nil
		}
		tried = append(tried, err)
	}
	return fmt.Errorf("%w for version %s: install its server packages or set bin_dir: %w", ErrNoBinaries, in.version.name, errors.Join(tried...))
}

func (in *Instance) likelyBinDirs() []string {
	var dirs []string
	if pid, ok := process.Postmaster(in.dir); ok {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			dirs = append(dirs, filepath.Dir(strings.TrimSuffix(exe, " (deleted)")))
		}
	}
	dirs = append(dirs,
		filepath.Join("/usr/lib/postgresql", in.version.name, "bin"),
		filepath.Join("/usr/pgsql-"+in.version.name, "bin"),
	)
	for _, program := range []string{"postgres", "pg_ctl"} {
		if path, err := exec.LookPath(program); err == nil {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(real))
			}
		}
	}
	return dirs
}

var serverVersion = regexp.MustCompile(`\b(\d+)(?:\.(\d+))?`)

// suits says whether dir's server is of the data directory's major version.
func (in *Instance) suits(ctx context.Context, dir string) error {
	path := filepath.Join(dir, "postgres")
	if _, err := os.Stat(path); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	found := serverVersion.FindStringSubmatch(string(out))
	if found == nil {
		return fmt.Errorf("%s --version says %q", path, out)
	}
	major := found[1]
	if len(major) == 1 { // up to 9.6 the major version had two numbers
		major += "." + found[2]
	}
	if major != in.version.name {
		return fmt.Errorf("%s is version %s", path, major)
	}
	return nil
}

// startOptions are the options of the next start: those of the last one, and where the configuration is, if that is not in
// the data directory.
func (p place) startOptions(dataDir string) []string {
	options := p.options
	if _, given := p.commandLine["config_file"]; !given && p.configFile != filepath.Join(dataDir, "postgresql.conf") {
		options = append(options[:len(options):len(options)], "-c", "config_file="+p.configFile)
	}
	return options
}
