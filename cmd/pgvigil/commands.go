package main

import "github.com/urfave/cli/v2"

// commands are the subcommands, in the order of the help.
func commands() []*cli.Command {
	return []*cli.Command{
		runCommand(),
		stopCommand(),
		bootstrapCommand(),
		joinCommand(),
		demoCommand(),
		statusCommand(),
		membersCommand(),
		eventsCommand(),
		historyCommand(),
		explainCommand(),
		checkCommand(),
		switchoverCommand(),
		failoverCommand(),
		drillCommand(),
		restartCommand(),
		reloadCommand(),
		reinitCommand(),
		removeCommand(),
		pauseCommand(),
		resumeCommand(),
		configCommand(),
		contextCommand(),
		alertCommand(),
		hooksCommand(),
		completionCommand(),
		completeCommand(),
		versionCommand(),
	}
}
