//go:build tools

// Package tools pins the programs that build.sh makes from these modules.
package tools

import _ "github.com/opencontainers/runc"
