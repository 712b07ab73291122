//go:build !race

package model

const shallow = false
