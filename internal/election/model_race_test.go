//go:build race

package election

// raceDetector makes everything about ten times slower, so that the model is run in its short form.
const raceDetector = true
