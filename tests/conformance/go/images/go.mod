module visits.test/conformance/images

go 1.26

tool (
	visits.test/conformance/images/nonewprivs
	visits.test/conformance/images/pause
	visits.test/conformance/images/stress
)
