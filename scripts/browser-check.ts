// Runs the ring's browser example (packages/ring/examples/browser.html) in headless Chromium, served with the two
// headers that give a page shared memory. Prints what the page shows; exit code 1 when it failed. Where there is
// no Chromium, says so and does nothing.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const HELP = `Runs the ring's browser example in headless Chromium.

  npx node scripts/browser-check.ts [--browser PATH] [--help]
`
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PAGE = '/packages/ring/examples/browser.html'
const MSGPACKR = '/packages/ring/node_modules/msgpackr/index.js'
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome']
const TIMEOUT_MS = 60_000
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}
/** Added to the page: sends what it shows to this script. */
const REPORTER = `<script>
  const result = document.querySelector('#result')
  const report = () => fetch('/result', { method: 'POST', body: result.textContent })
  new MutationObserver(report).observe(result, { childList: true })
</script>`

const shown = Promise.withResolvers<string>()

/** What a bundler would do: package names become addresses. */
function resolveImports(source: string): string {
  return source.replaceAll(
    /(from |import )'(@guestyard\/[^']+|msgpackr)'/g,
    (_, head: string, name: string) => `${head}'${name === 'msgpackr' ? MSGPACKR : address(name)}'`,
  )
}

function address(name: string): string {
  return fileURLToPath(import.meta.resolve(name)).replace(ROOT, '/')
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
  if (path === '/result') {
    request.setEncoding('utf8').once('data', (text: string) => shown.resolve(text))
    response.writeHead(204).end()
    return
  }
  try {
    const text = readFileSync(join(ROOT, path), 'utf8')
    if (path.endsWith('.html')) {
      response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/html' }).end(text + REPORTER)
      return
    }
    const script = path.endsWith('.ts') ? resolveImports(stripTypeScriptTypes(text)) : text
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/javascript' }).end(script)
  } catch {
    response.writeHead(404).end()
  }
}

function findBrowser(): string | undefined {
  return BROWSERS.find((name) => spawnSync(name, ['--version']).status === 0)
}

async function check(browser: string): Promise<string> {
  const server = createServer(serve).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const profile = mkdtempSync(join(tmpdir(), 'browser-check-'))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`]
  const child = spawn(browser, [...flags, `http://127.0.0.1:${port}${PAGE}`], { stdio: 'ignore' })
  child.once('error', (error) => shown.resolve(`failed: ${error.message}`))
  child.once('exit', (code) => shown.resolve(`failed: the browser left with code ${code}`))
  const timer = setTimeout(() => shown.resolve('failed: the page never finished'), TIMEOUT_MS)
  try {
    return await shown.promise
  } finally {
    clearTimeout(timer)
    const exited = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null && child.pid !== undefined && child.kill()) await exited
    server.closeAllConnections()
    server.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

const { values } = parseArgs({
  options: { browser: { type: 'string' }, help: { type: 'boolean' } },
})
const browser = values.browser ?? findBrowser()
if (values.help === true) console.log(HELP)
else if (browser === undefined) console.log(`skipped: none of ${BROWSERS.join(', ')} is installed`)
else {
  const text = await check(browser)
  console.log(text)
  if (!text.startsWith('passed')) process.exitCode = 1
}
