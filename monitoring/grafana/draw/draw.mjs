#!/usr/bin/env node
// Draws Grafana dashboards as PNGs with Grafana's own panel code, from a live Prometheus, without Grafana's server.
import { chromium } from 'playwright-core';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import { build, here } from './build.mjs';

const USAGE = `node draw.mjs --prometheus URL --out DIR [options] dashboard.json ...
  --from-minutes N     the last N minutes (15)
  --theme light|dark   (dark)
  --var name=value     a dashboard variable; several values of a multi-value one by commas, or All
  --scrape-seconds N   the scrape interval that the data source is configured with (15)
  --width N            of the picture, in pixels (1600)
  --skip TYPE          a panel type that is left out without an error: traces and logs are not drawn
  --need-data          a panel without data is an error
  --chromium PATH      (/usr/bin/chromium)`;

const FLAGS = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
// Requests to it never leave the browser: serve() answers them all.
const ORIGIN = 'http://draw.invalid';

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        prometheus: { type: 'string' },
        out: { type: 'string' },
        'from-minutes': { type: 'string', default: '15' },
        theme: { type: 'string', default: 'dark' },
        var: { type: 'string', multiple: true, default: [] },
        'scrape-seconds': { type: 'string', default: '15' },
        width: { type: 'string', default: '1600' },
        skip: { type: 'string', multiple: true, default: [] },
        'need-data': { type: 'boolean', default: false },
        chromium: { type: 'string', default: '/usr/bin/chromium' },
      },
    });
    for (const name of ['prometheus', 'out']) if (!values[name]) throw new Error(`--${name} is missing`);
    for (const name of ['from-minutes', 'scrape-seconds', 'width']) {
      if (!(Number(values[name]) > 0)) throw new Error(`--${name} has to be a number above 0`);
    }
    if (!['light', 'dark'].includes(values.theme)) throw new Error('--theme has to be light or dark');
    if (!values.var.every((pair) => pair.includes('='))) throw new Error('--var has to be name=value');
    if (!positionals.length) throw new Error('no dashboard is given');
    return { ...values, files: positionals };
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const modules = dirname(dirname(createRequire(import.meta.url).resolve('inter-ui/package.json')));
const HTML = `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css"><style>
  @font-face { font-family: Inter; font-weight: 400; src: url(/fonts/Inter-Regular.woff2) }
  @font-face { font-family: Inter; font-weight: 500; src: url(/fonts/Inter-Medium.woff2) }
  body { margin: 0 } </style><div id="root"></div><script src="/page.js"></script>`;

async function serve(route, prometheus) {
  const { pathname, search } = new URL(route.request().url());
  const api = pathname.match(/^\/prometheus(\/.*)$/);
  if (api) {
    try {
      const response = await fetch(prometheus.replace(/\/$/, '') + api[1] + search);
      return await route.fulfill({ status: response.status, contentType: 'application/json', body: await response.text() });
    } catch (error) {
      const message = `Prometheus at ${prometheus}: ${error.cause?.message ?? error.message}`;
      return route.fulfill({ status: 502, json: { status: 'error', error: message } });
    }
  }
  if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: HTML });
  const path = normalize(pathname);
  const [, icon] = path.match(/\/img\/icons\/(.+)$/) ?? [];
  const [, font] = path.match(/\/fonts\/(?:inter\/)?(Inter-.+)$/) ?? [];
  if (icon) return route.fulfill({ path: join(modules, '@grafana/ui/dist/public/img/icons', icon) }).catch(() => route.abort());
  if (font) return route.fulfill({ path: join(modules, 'inter-ui/web', font) }).catch(() => route.abort());
  if (['.js', '.css'].includes(extname(path))) return route.fulfill({ path: join(here, 'out', path) });
  return route.abort();
}

function read(file) {
  const dashboard = JSON.parse(readFileSync(file, 'utf8'));
  if (!dashboard.uid || !Array.isArray(dashboard.panels)) throw new Error('not a dashboard: it has no uid or no panels at its top level');
  return dashboard;
}

async function drawOne(browser, dashboard, given) {
  const width = Number(given.width);
  const page = await browser.newPage({ viewport: { width, height: 900 } });
  try {
    await page.route('**/*', (route) => serve(route, given.prometheus));
    const failures = [];
    page.on('pageerror', (error) => failures.push({ panel: '(page)', error: error.message }));
    await page.goto(ORIGIN);
    const to = Date.now();
    const settings = {
      theme: given.theme,
      width,
      from,
      to,
      skip: given.skip,
      scrapeSeconds: Number(given['scrape-seconds']),
      variables: Object.fromEntries(given.var.map((pair) => pair.split(/=(.*)/s, 2))),
    };
    const report = await page.evaluate(([board, how]) => window.draw(board, how), [dashboard, settings]);
    // Tables do not draw themselves outside the window, so a picture of the full page would lack them: enlarge the window.
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height });
    await page.waitForLoadState('networkidle');
    const picture = join(given.out, `${dashboard.uid}.png`);
    await page.screenshot({ path: picture });
    report.errors.push(...failures);
    return { picture, ...report };
  } finally {
    await page.close();
  }
}

const given = readArguments();
// All pictures begin at the same moment, however long the ones before took.
const from = Date.now() - Number(given['from-minutes']) * 60_000;
await build();
mkdirSync(given.out, { recursive: true });
// Playwright gives the browser a new, empty user data directory, and removes it.
const browser = await chromium.launch({ executablePath: given.chromium, headless: true, chromiumSandbox: false, args: FLAGS });
let failed = false;
// A variable need not be in each of the dashboards, but one that is in none of them is a mistake.
const unknown = new Set(given.var.map((pair) => pair.split('=')[0]));
try {
  for (const file of given.files) {
    const started = performance.now();
    try {
      const dashboard = read(file);
      for (const { name } of dashboard.templating?.list ?? []) unknown.delete(name);
      const { picture, panels, errors, empty } = await drawOne(browser, dashboard, given);
      console.log(`${picture}: ${panels} panels in ${((performance.now() - started) / 1000).toFixed(1)} s`);
      for (const panel of empty) console.log(`  no data: ${panel}`);
      for (const { panel, error } of errors) console.error(`  ${file}: panel "${panel}": ${error}`);
      failed ||= errors.length > 0 || (given['need-data'] && empty.length > 0);
    } catch (error) {
      console.error(`${file}: ${error.message.replace(/^page\.evaluate: (Error: )?/, '').split('\n    at ')[0]}`);
      failed = true;
    }
  }
} finally {
  await browser.close();
}
for (const name of unknown) console.error(`--var ${name}: none of the dashboards has this variable`);
process.exitCode = failed || unknown.size ? 1 : 0;
