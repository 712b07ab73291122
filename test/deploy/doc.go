// Package deploy checks what lies under deploy/ with the programs that it is for.
package deploy
