// Command httpd answers every request on port 8080 (or its first argument's) with its host name: what a test's
// container serves.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	address := ":8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	name, err := os.Hostname()
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	panic(http.ListenAndServe(address, nil))
}
