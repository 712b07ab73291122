package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
)

// shells are the scripts by which each shell asks `pgvigil __complete` for the words that could stand at the cursor: one a line,
// none where it is to complete the names of files.
var shells = map[string]string{
	"bash": `_pgvigil() {
  local IFS=$'\n'
  COMPREPLY=($(pgvigil __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _pgvigil pgvigil
`,
	"zsh": `#compdef pgvigil
_pgvigil() {
  local -a found
  found=("${(@f)$(pgvigil __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then
    compadd -a found
  else
    _files
  fi
}
compdef _pgvigil pgvigil
`,
	"fish": `function __pgvigil
  set -l words (commandline -opc) (commandline -ct)
  set -l found (pgvigil __complete $words[2..-1] 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c pgvigil -f -a '(__pgvigil)'
`,
}

// completionBound is how long a person at the prompt may have to wait for the names of members.
const completionBound = time.Second

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the script by which a shell completes our commands, flags, members and contexts", ArgsUsage: "SHELL",
		Description: "For example, in ~/.bashrc: source <(pgvigil completion bash)\n" +
			"in ~/.zshrc, after compinit: source <(pgvigil completion zsh)\n" +
			"in ~/.config/fish/config.fish: pgvigil completion fish | source",
		Action: func(c *cli.Context) error {
			script, known := shells[c.Args().First()]
			if c.NArg() != 1 || !known {
				return fail(exitUsage, errors.New("give one shell: bash, zsh or fish"))
			}
			_, err := io.WriteString(c.App.Writer, script)
			return err
		},
	}
}

// completeCommand answers those scripts. Its arguments are the words of the line after pgvigil, the last the one to complete.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name: "__complete", Hidden: true, HideHelp: true, SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			ctx, cancel := context.WithTimeout(c.Context, completionBound)
			defer cancel()
			for _, word := range completions(c.App, c.Args().Slice(), func(kind string, line []string) []string { return valuesOf(ctx, kind, line) }) {
				fmt.Fprintln(c.App.Writer, word)
			}
			return nil
		},
	}
}

// completions are the words that could stand in the place of the last one. values returns those of a kind, as the usage of
// flags and commands names them, such as MEMBER.
func completions(app *cli.App, words []string, values func(kind string, line []string) []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	line, word := words[:len(words)-1], words[len(words)-1]
	commands, flags, kinds, wants := app.Commands, []cli.Flag(nil), "", ""
	for _, w := range line {
		switch {
		case wants != "": // w is a flag's value
			wants = ""
		case strings.HasPrefix(w, "-"):
			wants = valueOf(flags, w)
		default:
			if i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(w) }); i >= 0 {
				command := commands[i]
				commands, flags, kinds = command.Subcommands, command.Flags, command.ArgsUsage
			}
		}
	}
	var found []string
	switch {
	case wants != "":
		found = values(wants, line)
	case strings.HasPrefix(word, "-"):
		found = flagNames(flags)
	default:
		for _, c := range commands {
			if !c.Hidden {
				found = append(found, c.Name)
			}
		}
		for kind := range strings.FieldsSeq(kinds) {
			if kind = strings.Trim(kind, "[]."); kind != "" {
				found = append(found, values(kind, line)...)
			}
		}
	}
	found = slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, word) })
	slices.Sort(found)
	return slices.Compact(found)
}

func flagNames(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, "--"+name)
			}
		}
	}
	return append(names, "--help")
}

var placeholder = regexp.MustCompile("`([^`]+)`")

// valueOf is the kind of value that a flag takes, by the placeholder in its usage; empty if it takes none, or has it already.
func valueOf(flags []cli.Flag, word string) string {
	name := strings.TrimLeft(word, "-")
	for _, f := range flags {
		if documented, is := f.(cli.DocGenerationFlag); is && slices.Contains(f.Names(), name) && documented.TakesValue() {
			if kind := placeholder.FindStringSubmatch(documented.GetUsage()); kind != nil {
				return kind[1]
			}
			return "VALUE"
		}
	}
	return ""
}

// valuesOf are the words of a kind. What has to be asked of the cluster is asked of the one that the line names.
func valuesOf(ctx context.Context, kind string, line []string) []string {
	switch kind {
	case "MEMBER":
		return memberNames(ctx, line)
	case "CONTEXT":
		return contextNames(line)
	case "FORMAT":
		return []string{string(asTable), string(asJSON), string(asYAML)}
	case "SEVERITY":
		return severities
	case "SHELL":
		return []string{"bash", "fish", "zsh"}
	case "OBSTACLE":
		return []string{"archive", "logical", "prepared", "transactions"}
	case "KEY=VALUE":
		keys, _, _ := watchdog.PolicyValues(watchdog.DefaultPolicy())
		for i := range keys {
			keys[i] += "="
		}
		return keys
	}
	if strings.Contains(kind, "|") { // the words themselves
		return strings.Split(kind, "|")
	}
	return nil
}

func memberNames(ctx context.Context, line []string) (names []string) {
	args := append([]string{"pgvigil", "members", "-o", "json"}, givenTo(clientFlags(), line)...)
	var out strings.Builder
	if execute(ctx, args, &out, io.Discard) != exitOK {
		return nil
	}
	var rows []listedMember
	if json.Unmarshal([]byte(out.String()), &rows) != nil {
		return nil
	}
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names
}

func contextNames(line []string) []string {
	file := config.ContextsFile()
	given := givenTo([]cli.Flag{contextsFlag()}, line)
	if len(given) == 2 {
		file = given[1]
	}
	contexts, err := config.ReadContexts(file)
	if err != nil {
		return nil
	}
	return contexts.Names
}

// givenTo are those flags of the line, with their values, that are among flags.
func givenTo(flags []cli.Flag, line []string) (given []string) {
	for i := 0; i+1 < len(line); i++ {
		if strings.HasPrefix(line[i], "-") && valueOf(flags, line[i]) != "" {
			given = append(given, line[i], line[i+1])
			i++
		}
	}
	return given
}
