// The page's thread: sends questions to a worker over a ring, and reads the answers.
import { channelPair, openMessages } from '@guestyard/ring/messages'
import type { Answer, Question } from './browser-worker.ts'

const COUNT = 20_000

/** The few things of a page that this uses. */
interface Page {
  readonly crossOriginIsolated: boolean
  readonly document: { querySelector(selector: string): { textContent: string } }
  readonly Worker: new (
    url: URL,
    options: { type: 'module' },
  ) => { postMessage(message: unknown): void; terminate(): void }
  readonly performance: { now(): number }
}
const page = globalThis as unknown as Page

async function run(): Promise<string> {
  if (!page.crossOriginIsolated) return 'failed: this page is not cross-origin isolated'
  const [here, there] = channelPair({ bytes: '256 KiB' })
  const worker = new page.Worker(new URL('./browser-worker.ts', import.meta.url), {
    type: 'module',
  })
  worker.postMessage(there)
  const channel = openMessages<Question, Answer>(here)
  const start = page.performance.now()
  const asking = (async (): Promise<void> => {
    for (let n = 1; n <= COUNT; n++) await channel.send({ n, text: `question ${n}` })
    await channel.end()
  })()
  let sum = 0
  for await (const answer of channel) sum += answer.square
  await asking
  const milliseconds = Math.round(page.performance.now() - start)
  await channel.close()
  worker.terminate()
  const right = sum === (COUNT * (COUNT + 1) * (2 * COUNT + 1)) / 6
  return `${right ? 'passed' : 'failed'}: ${COUNT} round trips in ${milliseconds} ms; ${blockHere()}`
}

/** What a page's thread gets for trying to block. */
function blockHere(): string {
  const [port] = channelPair({ bytes: '4 KiB' })
  try {
    openMessages(port).receiveBlocking()
    return 'blocking is allowed'
  } catch (error) {
    return `blocking: ${(error as { code: string }).code}`
  }
}

page.document.querySelector('#result').textContent = await run().catch(
  (error: unknown) => `failed: ${String(error)}`,
)
