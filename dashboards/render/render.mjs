// Draws a dashboard to a PNG from the data of a live Prometheus, with Grafana's own components in a headless Chromium. By hand; see README.md.
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';

const { values } = parseArgs({
  options: {
    dashboard: { type: 'string' },
    out: { type: 'string' },
    prometheus: { type: 'string', default: 'http://127.0.0.1:9090' },
    range: { type: 'string', default: '900' },
    scraped: { type: 'string', default: '15' },
    end: { type: 'string', default: String(Date.now() / 1000) },
    variable: { type: 'string', multiple: true, default: [] },
    row: { type: 'string', multiple: true, default: [] },
    width: { type: 'string', default: '1600' },
    browser: { type: 'string', default: '/usr/bin/chromium' },
  },
});
if (!values.dashboard || !values.out) {
  console.error('usage: node render.mjs --dashboard ../overview.json --out overview.png [--prometheus URL] [--range SECONDS] [--scraped SECONDS] [--variable agent=planner]… [--row TITLE]…');
  process.exit(2);
}
const root = dirname(fileURLToPath(import.meta.url));
const server = await createServer({
  root,
  publicDir: 'node_modules/@grafana/ui/dist/public',
  logLevel: 'error',
  // In their form for ES modules some of their parts are taken for what they are wrapped in.
  resolve: { alias: { '@grafana/ui': `${root}/node_modules/@grafana/ui/dist/cjs/index.cjs`, '@grafana/data': `${root}/node_modules/@grafana/data/dist/cjs/index.cjs` } },
  optimizeDeps: { include: ['@grafana/data', '@grafana/ui', 'react', 'react-dom/client', 'rxjs'] },
  server: { host: '127.0.0.1', port: 0, proxy: { '/api': values.prometheus } },
  plugins: [{
    name: 'dashboard',
    configureServer: ({ middlewares }) => {
      middlewares.use('/dashboard.json', async (_, response) => response.end(await readFile(values.dashboard)));
    },
  }],
});
await server.listen();
const page = new URLSearchParams([['width', values.width], ['range', values.range], ['scraped', values.scraped], ['end', values.end], ...values.variable.map((pair) => ['variable', pair]), ...values.row.map((title) => ['row', title])]);
const browser = await chromium.launch({
  executablePath: values.browser,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let drawn = false;
try {
  const tab = await browser.newPage({ viewport: { width: Number(values.width), height: 1000 } });
  const broken = new Promise((_, fail) => tab.on('pageerror', fail));
  await tab.goto(`http://127.0.0.1:${server.httpServer.address().port}/?${page}`, { timeout: 300_000 });
  await Promise.race([tab.waitForFunction('window.drawn', undefined, { timeout: 120_000 }), broken]);
  await tab.locator('#root > div').screenshot({ path: values.out });
  drawn = true;
} finally {
  await browser.close();
  await server.close();
}
process.exit(drawn ? 0 : 1);
