// Package advice gives errors the remedy that is known for them. Who prints findings asks for both by the method Advice.
package advice

// With is err with its remedy.
func With(err error, remedy string) error { return &advised{err, remedy} }

type advised struct {
	err    error
	remedy string
}

func (e *advised) Error() string { return e.err.Error() + "; " + e.remedy }
func (e *advised) Unwrap() error { return e.err }

// Advice is what is wrong, and what to do about it.
func (e *advised) Advice() (what, remedy string) { return e.err.Error(), e.remedy }
