import PGHACommand
import Testing

@Test func aWrongKeyNamesTheNearestOne() {
    #expect(NearestWord.of("timings.prob_interval", among: ConfigKeys.known) == "timings.probe_interval")
    #expect(NearestWord.of("work_mem", among: ConfigKeys.known) == nil)
}
