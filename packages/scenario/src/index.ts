export { defineScenario } from './scenario.ts'
export type { Scenario, ScenarioContext, ScenarioDefinition, VmDefinition } from './scenario.ts'
export type { DiskDefinition, DvdDefinition } from './disk-plan.ts'
export type { NicDefinition } from './nic-plan.ts'
export { loadScenario } from './load-scenario.ts'
export { planScenario } from './plan.ts'
export type { ScenarioPlan, VmPlan } from './plan.ts'
export { exitCodeOf, runScenario, withChecks } from './run-scenario.ts'
export type { RunOptions, RunError, RunReport, VmReport } from './run-scenario.ts'
export type {
  HostHandle,
  ScenarioHost,
  ScenarioVm,
  StartHost,
  VmGroup,
  VmHandle,
} from './vm-handle.ts'
export type { CheckResult, Expect, Expectation } from './expect.ts'
export { InputError } from './input-error.ts'
export { formatBytes, formatCount, formatNs, parseByteSize, parseDurationMs } from './quantity.ts'
export type { Parsed } from './quantity.ts'
export { describeEnvironment, readEnvironment } from './environment.ts'
export type { Environment, RunEnvironment, VirtualEnvironment } from './environment.ts'
export { createProgress, silentProgress } from './progress.ts'
export type { Progress, ProgressStream } from './progress.ts'
export { createLoadGenerator, runLoads } from './load/load-generator.ts'
export type { LoadGenerator, LoadHooks, LoadTarget } from './load/load-generator.ts'
export { loadSettings, loadSpec, sweepSettings } from './load/settings.ts'
export type { FieldName, LoadOptions, LoadSettings, SweepOptions } from './load/settings.ts'
export type { ChannelReport, RepeatReport } from './load/channel-report.ts'
export type { CurvePoint, LatencySummary } from './load/latency.ts'
export {
  checkMeasured,
  checkThreshold,
  parseThreshold,
  thresholdMetrics,
} from './load/threshold.ts'
export type { Threshold, ThresholdMetric } from './load/threshold.ts'
export {
  baselineRefusals,
  compareWithBaseline,
  createBaseline,
  readBaseline,
  saveBaseline,
} from './load/baseline.ts'
export type { Baseline, BaselineEntry } from './load/baseline.ts'
export { median, medianRatio, spread } from './load/statistics.ts'
export { textReport } from './report/text-report.ts'
export { htmlReport } from './report/html-report.ts'
export { alignTable } from './report/table.ts'
export { judgeLoadTest, planLoadTest } from './load/load-test.ts'
export type { Judgement, LoadTest } from './load/load-test.ts'
export { RunHangs } from './virtual/run-hangs.ts'
export { VirtualPool } from './virtual/virtual-pool.ts'
export type { VirtualPoolOptions, VirtualRunOptions } from './virtual/virtual-pool.ts'
export type { VirtualJob } from './virtual/virtual-job.ts'
export { ConsoleSession } from './virtual/console-session.ts'
export type { ConsoleSessionOptions } from './virtual/console-session.ts'
export type { SessionEnd, SessionInput } from './virtual/session-protocol.ts'
