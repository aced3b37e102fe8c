//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cosmosfake

import "os"

// lockFile does nothing where there is no flock: two servers must not be given one directory.
func lockFile(*os.File) error { return nil }
