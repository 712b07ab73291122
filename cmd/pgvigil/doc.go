// Command pgvigil is an automatic failover watchdog for PostgreSQL: the sidecar, its guard process and the operator's
// command line in one static binary.
//
// This package wires and shows; it decides nothing. Each subcommand has a file, what people read is made by pure functions
// from values (with the time as an argument), and only main ends the process. Exit codes are listed in exit.go and in the
// help.
//
// # A new command
//
// A command that works on a cluster is a cli.Command with a name, its usage and its own flags, given to operatorCommand with
// the function that does the work, and listed in commands.go:
//
//	func switchoverCommand() *cli.Command {
//		return operatorCommand(&cli.Command{
//			Name: "switchover", Usage: "...", Flags: []cli.Flag{yesFlag(), waitFlag()},
//		}, switchOver)
//	}
//
//	func switchOver(c *cli.Context, o *operator) error {
//		cluster, err := o.readRecord(c.Context)
//		...
//		op := newOperation(watchdog.OperationSwitchover)
//		if err := o.confirm("Hand orders over? ...", c.Bool("yes")); err != nil {
//			return err
//		}
//		return o.perform(c.Context, op, c.Duration("wait"), func(events []watchdog.Event) (outcome, bool) { ... })
//	}
//
// operatorCommand adds the flags by which the cluster is found and -o, and refuses arguments unless ArgsUsage is set. The
// operator has everything else; a command touches its store no other way than by these, so that all say the same when the
// cluster cannot be reached, does not exist or is changing:
//
//   - read, readRecord, readPolicy, events: one bounded look, its errors with what to do and an exit code;
//   - lives: what the members' sidecars say now;
//   - confirm: asks the person;
//   - request: asks for what a watchdog.Request can hold, and watchdog makes a change of; whatever it is, it goes through etcd or
//     a member's API alike, and is refused there. What is new to ask for is a kind of Operation, or a part of Request;
//   - perform: asks for an operation, waits for the end by what judge finds in the events, prints the outcome, fails where nothing came of it;
//   - a flag's placeholder in its usage, and ArgsUsage, say what the shell completes: MEMBER, CONTEXT, FORMAT, ...: valuesOf;
//   - form.show: prints a value as JSON or YAML, or what the function makes of it for people. Every command that prints
//     data prints it so.
//
// PGVIGIL_CRASH_AT=<step> is a knob for tests: `pgvigil run` kills itself with SIGKILL when it comes to that named step of
// a promotion, hand-over or rejoin, so that a test can begin again from every point at which a host may die.
package main
