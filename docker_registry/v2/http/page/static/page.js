// The page works without this. It filters while one types, and copies commands.
'use strict';

const said = document.getElementById('said');

for (const button of document.querySelectorAll('button.copy')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    await copy(button.dataset.copy);
    button.textContent = 'Copied';
    button.classList.add('done');
    said.textContent = 'Copied: ' + button.dataset.copy;
    setTimeout(() => { button.textContent = 'Copy'; button.classList.remove('done'); }, 1500);
  });
}

// Browsers have a clipboard on HTTPS and localhost only.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

const input = document.querySelector('input[data-filter]');
const list = input && document.getElementById(input.dataset.filter);
if (list) {
  const rows = [...list.querySelectorAll('[data-name]')];
  const folders = [...list.querySelectorAll('li:not([data-name])')];
  const before = new Map([...list.querySelectorAll('details')].map((details) => [details, details.open]));
  const filter = () => {
    const wanted = input.value.trim().toLowerCase();
    const fits = (row) => row.dataset.name.toLowerCase().includes(wanted);
    let count = 0;
    for (const row of rows) {
      count += fits(row);
      row.hidden = !fits(row) && ![...row.querySelectorAll('[data-name]')].some(fits);
    }
    for (const folder of folders) folder.hidden = !folder.querySelector('[data-name]:not([hidden])');
    for (const [details, open] of before) details.open = open || wanted !== '';
    (list.closest('.scroll') || list).hidden = count === 0;
    document.getElementById('nothing').hidden = count > 0;
    said.textContent = count + (count === 1 ? ' fits' : ' fit');
  };
  input.form.classList.add('live');
  input.addEventListener('input', filter);
}
