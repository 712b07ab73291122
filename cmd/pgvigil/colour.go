package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// palette colours words where that can be seen; false leaves them as they are.
type palette bool

// paletteFor is one for people who look at w: a terminal that knows colours, unless they want none (https://no-color.org).
func paletteFor(c *cli.Context, w io.Writer) palette {
	return palette(isTerminal(w) && !c.Bool("no-color") && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func noColourFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-color", Usage: "no colours on a terminal, as with NO_COLOR in the environment"}
}

const (
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func (p palette) in(colour, text string) string {
	if !p || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// of colours what says how a cluster is.
func (p palette) of(h health, text string) string {
	return p.in(map[health]string{healthy: green, degraded: yellow, broken: red}[h], text)
}

// severe colours what says how urgent something is.
func (p palette) severe(s alert.Severity, text string) string {
	return p.in(map[alert.Severity]string{alert.Warning: yellow, alert.Critical: red}[s], text)
}

// isTerminal: a stream that people look at, or type into.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
