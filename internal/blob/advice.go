package blob

// advised is an error of which the remedy is known.
type advised struct {
	err    error
	remedy string
}

// Advise gives an error its remedy, for stores to tell; without one it is err.
func Advise(err error, remedy string) error {
	if remedy == "" {
		return err
	}
	return &advised{err, remedy}
}

func (e *advised) Error() string { return e.err.Error() + ": " + e.remedy }
func (e *advised) Unwrap() error { return e.err }

// Advice is what is wrong, and what to do about it.
func (e *advised) Advice() (what, remedy string) { return e.err.Error(), e.remedy }
