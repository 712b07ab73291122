// Package ownbinary gives a test's own binary another name, such as postgres, so that it can play a program that is known by
// its name. What it does under that name is for the test's TestMain to decide.
package ownbinary
