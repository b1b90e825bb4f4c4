module visits.test/counting/linearizable

go 1.26

tool visits.test/counting/linearizable

require github.com/anishathalye/porcupine v1.3.1
