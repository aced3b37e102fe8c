package cosmos

import "testing"

func TestParseSession(t *testing.T) {
	for _, test := range []struct {
		token string
		want  Session
		bad   bool
	}{
		{token: "0:1#100#3=90", want: Session{Config: 1, Newest: 100}},
		{token: "0:12#9007199254740993", want: Session{Config: 12, Newest: 9007199254740993}},
		{token: "3:0#5#1=4#2=5", want: Session{Config: 0, Newest: 5}},
		{token: "0:-1#7", want: Session{Config: NoConfig, Newest: 7}},
		{token: "17:42", want: Session{Config: NoConfig, Newest: 42}},
		{token: "", bad: true},
		{token: "42", bad: true},
		{token: "0:", bad: true},
		{token: "0:1#", bad: true},
		{token: "0:#5", bad: true},
		{token: "0:x#5", bad: true},
		{token: "0:1#five", bad: true},
		{token: "0:-2#5", bad: true},
		{token: "0:1#-5", bad: true},
		{token: "0:1#100,1:1#90", bad: true},
	} {
		t.Run(test.token, func(t *testing.T) {
			got, err := ParseSession(test.token)
			if (err != nil) != test.bad || got != test.want {
				t.Errorf("got %+v, %v; want %+v, an error %v", got, err, test.want, test.bad)
			}
		})
	}
}
