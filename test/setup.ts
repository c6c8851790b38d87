/**
 * fast-check's settings for every test file. `FC_SEED=7 npm test` replays a run, `FC_RUNS=10000` digs deeper;
 * a property that fails prints its own seed and path as well.
 */
import fc from 'fast-check'

const DEFAULT_RUNS = 200

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: wholeNumber('FC_SEED', 0),
  numRuns: wholeNumber('FC_RUNS', DEFAULT_RUNS),
})

function wholeNumber(name: string, otherwise: number): number {
  const text = process.env[name]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`${name} must be a whole number, not "${text}"`)
  return value
}
