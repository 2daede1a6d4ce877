/* What has no name that a screen reader could say, and what is wrong with ids and headings. */
const bad = [];
for (const e of document.querySelectorAll('button, a, input, select, [role=img], section, nav, form')) {
  const by = (e.getAttribute('aria-labelledby') || '').split(' ').map(id => document.getElementById(id)?.textContent);
  const name = e.getAttribute('aria-label') || by.join('') || e.labels?.[0]?.textContent || e.textContent;
  if (e.checkVisibility() && !name.trim()) bad.push(e.outerHTML.slice(0, 100));
}
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
bad.push(...ids.filter((id, at) => ids.indexOf(id) !== at));
const levels = [...document.querySelectorAll('h1, h2, h3')].filter(e => e.checkVisibility()).map(e => Number(e.tagName[1]));
if (levels[0] !== 1) bad.push('the first heading is ' + levels[0]);
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) bad.push('a heading after ' + levels.slice(0, at)); });
return bad;
