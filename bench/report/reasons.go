package report

// The reasons for which lines fall short, as profiles and trials showed them; a line that is met does not print its own.
const (
	reasonHandover   = ""
	reasonCrowd      = ""
	reasonCrash      = ""
	reasonWorker     = ""
	reasonOverlap    = "this must not be: two yes at once is a defect, please report it with this file."
	reasonRSS        = ""
	reasonCPU        = ""
	reasonSize       = ""
	reasonStart      = ""
	reasonLoad       = ""
	reasonEtcd       = ""
	handoverRequests = ""
)
