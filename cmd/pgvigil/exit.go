package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// The exit codes. They are stable.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitConfig   = 3
	exitEtcd     = 4
	exitPostgres = 5
	exitRefused  = 6
	exitNotFound = 7
	exitWarnings = 8
	exitErrors   = 9
)

var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; for run: stopped as asked, PostgreSQL left as it is"},
	{exitFailure, "something failed that has no code of its own"},
	{exitUsage, "wrong flags or arguments"},
	{exitConfig, "the configuration is wrong or incomplete"},
	{exitEtcd, "etcd, or the API that stands for it, could not be reached or did not let us in"},
	{exitPostgres, "PostgreSQL: no data directory, wrong password, programs not found, ..."},
	{exitRefused, "refused by the cluster: name in use, another system identifier, two primaries"},
	{exitNotFound, "there is no such cluster"},
	{exitWarnings, "check has found something that is a warning, and nothing worse"},
	{exitErrors, "check has found something that makes a failover or a rejoin fail"},
}

func exitCodeHelp() string {
	var b strings.Builder
	b.WriteString("\nEXIT CODES:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "   %d  %s\n", e.code, e.meaning)
	}
	return b.String()
}

// failure is an error with the exit code that it ends the process with.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, err error) error {
	if err == nil {
		return nil
	}
	return &failure{code, err}
}

// codeOf returns an error's exit code. A refusal keeps its own, whatever it is wrapped in.
func codeOf(err error) int {
	var refusal *sidecar.Refusal
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &refusal) && refusal.Reason == watchdog.ReasonServerDownHere:
		return exitPostgres
	case errors.As(err, &refusal):
		return exitRefused
	case errors.As(err, &f):
		return f.code
	default:
		return exitFailure
	}
}
