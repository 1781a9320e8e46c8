// A tenant in a real browser, without JavaScript: signs in, signs in with Google, looks after the login, signs out. Prints
// what the browser asked for, was shown and keeps.
import { pathToFileURL } from 'node:url';

const { PACKAGES, CHROMIUM, URL: base, KEY: key } = process.env;
const packages = pathToFileURL(`${PACKAGES}/node_modules/`);
const { chromium } = await import(new globalThis.URL('playwright-core/index.mjs', packages).href);

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
const context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
const page = await context.newPage();
page.setDefaultTimeout(30_000);
const told = { asked: [], shown: [], complaints: [], cookies: {} };
page.on('request', (request) => told.asked.push(request.url()));
page.on('dialog', (dialog) => { told.complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on('console', (message) => { if (message.type() === 'error') told.complaints.push(message.text()); });
page.on('pageerror', (error) => told.complaints.push(String(error)));
const look = async () => told.shown.push(await page.content());
const see = async (text) => { await page.getByText(text).first().waitFor(); await look(); };
const keep = async (when) => { told.cookies[when] = await context.cookies(base); };

await page.goto(`${base}/ui/gemini`);
await look();
await page.getByLabel('Gateway key').fill('sk-tg-wrong');
await page.getByRole('button', { name: 'Sign in' }).click();
await see('This is not a gateway key');
await page.getByLabel('Gateway key').fill(key);
await page.getByRole('button', { name: 'Sign in' }).click();
await see('Your tenant has none yet');
await keep('signed in');
const colour = await page.locator('body').evaluate((body) => getComputedStyle(body).fontFamily);
if (!colour.includes('system-ui')) told.complaints.push(`the style sheet is not there: ${colour}`);

const login = page.locator('#own-client');
await login.getByLabel('Name').fill('work');
await login.getByLabel('Project id').fill('my-project-1');
await login.getByLabel('I have read the warning').check();
await login.getByRole('button').click();
// To Google and back, and on from there, all by itself.
await page.waitForURL(`${base}/ui/gemini/done`);
await see('Google has let you in');
await page.waitForURL(`${base}/ui/gemini`);
await see('someone@example.com');
await keep('logged in');

const card = page.locator('section.card', { hasText: 'someone@example.com' });
if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE, fullPage: true });
await card.getByLabel('Project id').fill('my-project-2');
await card.getByRole('button', { name: 'Set' }).click();
await see('The project is set');
await card.getByRole('button', { name: 'Test' }).click();
await see('Google knows the token as one of someone@example.com');
await card.getByRole('button', { name: 'Remove' }).click();
await see('The login is removed');
await see('Your tenant has none yet');
await page.getByRole('button', { name: 'Sign out' }).click();
await page.getByLabel('Gateway key').waitFor();
await look();
await keep('signed out');
// What was shown is not kept for whoever goes back.
await page.goBack().catch(() => {});
if ((await page.content()).includes('someone@example.com')) told.complaints.push('the page is kept');
await browser.close();
console.log(JSON.stringify(told));
