// virtctl as upstream's cmd/virtctl has it.
package main

import (
	"os"

	"kubevirt.io/kubevirt/pkg/virtctl"
)

func main() { os.Exit(virtctl.Execute()) }
