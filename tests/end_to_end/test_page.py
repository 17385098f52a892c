"""The page in a real Chromium: what a user sees, clicks and copies.

With REGISTRY_TEST_SCREENSHOTS=docs, the tests also write the pictures of docs/page.rst. Then make them smaller:
`pngquant --force --ext .png docs/page-*.png`.
"""

import os
import subprocess

import pytest
import requests

import browsing
import conftest
import servers

SHOWN = 'team/shop/checkout'
ATTACK = '"><script>document.title="attacked"</script><img src=x onerror="document.title=\'attacked\'">'
#: {name: path} of a page of each kind.
PAGES = {
    'repositories': '/ui/',
    'tags': f'/ui/{SHOWN}/tags',
    'image': f'/ui/{SHOWN}/manifests/latest',
    'index': f'/ui/{SHOWN}/manifests/2.0.0',
    'delete': f'/ui/{SHOWN}/delete/?tag=latest&tag=2.0.0',
    'error': '/ui/nothing/here/tags',
    'nothing': '/ui/?q=zzz',
}
#: {name of a picture in docs: (page, light or dark, width, most height)}
PICTURES = {
    'repositories': ('repositories', 'light', 800, 600),
    'tags': ('tags', 'light', 860, 600),
    'image': ('image', 'dark', 800, 860),
    'delete': ('delete', 'light', 800, 600),
    'phone': ('tags', 'dark', 390, 640),
}


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    conftest.need('chromium', 'chromedriver')
    with browsing.chromium(tmp_path_factory.mktemp('chromium'), servers.program) as browser:
        yield browser


@pytest.fixture(autouse=True)
def as_ever(browser):
    yield
    browser.run_scripts(True)
    browser.prefer('light')
    browser.open('about:blank')
    assert browser.console == []


@pytest.fixture(scope='module')
def container(swift, tmp_path_factory):
    conftest.need('registry-swift', 'setpriv')
    return conftest.Place(str(tmp_path_factory.mktemp('page')), swift)


@pytest.fixture(scope='module')
def registry(container):
    registry = container.registry(REGISTRY_UI_DELETE='true')
    yield registry
    registry.stop()


@pytest.fixture(scope='module')
def stocked(registry, container):
    """A registry with a few repositories, and a survey of it."""
    shop = browsing.Shop(registry.url)
    for name in ('library/postgres', 'library/redis', 'team/shop/web', 'tools/mail'):
        shop.image(name, 'latest', 'all')
    for version in ('1.9.0', '1.10.0', '2.0.0-rc1'):
        image = shop.image(SHOWN, version, version, labels={'org.opencontainers.image.version': version, 'maintainer': 'shop@example.com'})
    shop.image(SHOWN, 'latest', '2.0.0-rc1', labels={'org.opencontainers.image.version': version, 'maintainer': 'shop@example.com'})
    shop.index(SHOWN, '2.0.0', 'index')
    shop.signature(SHOWN, image)
    login = {'OS_AUTH_URL': container.swift.auth_url, 'OS_USERNAME': container.swift.user, 'OS_PASSWORD': container.swift.key}
    environ = {'OS_AUTH_VERSION': '1', 'OS_CONTAINER': container.container, **login}
    subprocess.run([servers.program('registry-swift'), 'survey'], check=True, env=environ, stdout=subprocess.DEVNULL, timeout=60)
    return registry


def test_browse_from_the_repositories_to_a_layer(stocked, browser):
    browser.open(stocked.url + '/')
    assert browser.driver.current_url == stocked.url + '/ui/'
    assert ['5 tags', '25.0 MB'] in [text.split('\n') for text in browser.all('.measured')]

    browser.follow('checkout')
    browser.wait(lambda: browser.all('tbody th') == ['2.0.0', 'latest', '2.0.0-rc1', '1.10.0', '1.9.0'])
    assert browser.all('tbody tr:first-child .chip') == ['linux/amd64', 'linux/arm64']
    browser.follow('latest')

    browser.wait(lambda: 'ADD file:base in /' in browser.all('.layers .command'))
    assert '4.2 MB' in browser.all('.layers .size')
    assert any('signed by the build' in row for row in browser.all('tbody tr'))


def test_filter_while_one_types(stocked, browser):
    browser.open(stocked.url + '/ui/')
    assert 'mail' in ' '.join(browser.all('.tree a.row'))

    browser.type('#filter', 'SHOP/')

    assert browser.all('.tree a.row') == ['checkout', 'web']
    browser.type('#filter', 'zzz')
    assert browser.all('#nothing') == ['No repository on this page has this in its name.']


def test_copy_the_command_and_pull_with_it(stocked, browser, folder):
    conftest.need('skopeo')
    browser.open('%s/ui/%s/manifests/latest' % (stocked.url, SHOWN))
    browser.driver.execute_script('window.setTimeout = () => {}')  # it takes back soon that it says so
    browser.click('.commands button.copy')

    browser.wait(lambda: 'Copied' in browser.all('.copy'))

    host = stocked.url.partition('//')[2]
    assert browser.copied() == 'docker pull %s/%s:latest' % (host, SHOWN)
    command = browser.driver.find_elements('css selector', '.commands code')[2].text.split()
    subprocess.run([*command[:-1], 'dir:' + os.path.join(folder, 'copied')], check=True, timeout=60)


def test_delete_a_tag(registry, browser):
    shop = browsing.Shop(registry.url)
    for tag in ('v1', 'v2'):
        shop.image('old/app', tag)
    browser.open(registry.url + '/ui/old/app/manifests/v1')
    browser.follow('Delete tag')
    browser.wait(lambda: browser.all('.losers a') == ['v2'])

    browser.click('button.danger')

    assert browser.wait(lambda: browser.all('.note')) == ['The tag v1 is deleted.']
    assert browser.all('tbody th') == ['v2']
    assert requests.get(registry.url + '/v2/old/app/manifests/v1', timeout=30).status_code == 404


@pytest.mark.parametrize('scripts', [True, False], ids=['scripts', 'no scripts'])
def test_delete_several_tags(registry, browser, scripts):
    browser.run_scripts(scripts)
    shop = browsing.Shop(registry.url)
    for tag in ('v1', 'v2', 'v3'):
        shop.image('several', tag, tag)
    browser.open(registry.url + '/ui/several/tags/')
    for tag in ('v1', 'v3'):
        browser.click(f'input[value={tag}]')
    browser.click('.choices button')
    browser.wait(lambda: sorted(browser.all('.losers strong')) == ['several:v1', 'several:v3'])

    browser.click('button.danger')

    assert browser.wait(lambda: browser.all('tbody th')) == ['v2']
    assert 'These tags are deleted' in browser.all('.note')[0]


def test_it_works_without_javascript(stocked, browser):
    browsing.Shop(stocked.url).image('shoppers', 'v1')
    browser.run_scripts(False)
    browser.open(stocked.url + '/ui/')
    browser.type('#filter', 'shoppe\n')
    browser.wait(lambda: browser.all('.tree a.row') == ['shoppers'])
    assert not browser.all('button.copy')

    browser.follow('shoppers')
    browser.follow('v1')
    browser.follow('Delete tag')
    browser.click('button.danger')

    assert browser.wait(lambda: browser.all('.note')) == ['The tag v1 is deleted.']


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_axe_finds_nothing(stocked, browser, scheme):
    browser.prefer(scheme)
    found = {}
    for name, path in PAGES.items():
        browser.open(stocked.url + path)
        for details in browser.driver.find_elements('css selector', 'details:not([open]) > summary'):
            details.click()
        found[name] = browser.accessibility()
    assert [message for message in browser.console if '404' not in message] == []

    assert found == {name: [] for name in PAGES}


@pytest.mark.skipif(not browsing.screenshots(), reason='REGISTRY_TEST_SCREENSHOTS names no folder')
@pytest.mark.parametrize('name', PICTURES)
def test_pictures(stocked, browser, name):
    page, scheme, width, height = PICTURES[name]
    path = os.path.join(browsing.screenshots(), f'page-{name}.png')
    browser.prefer(scheme)
    browser.open(stocked.url + PAGES[page])
    browser.picture(path, width, height)


def test_what_an_image_says_runs_nothing(registry, browser):
    shop = browsing.Shop(registry.url)
    image = shop.image('evil', 'v1', labels={ATTACK: ATTACK}, annotations={ATTACK: ATTACK})
    shop.signature('evil', image, note=ATTACK)

    for path in ('tags', 'manifests/v1', 'delete/?tag=v1'):
        browser.open('%s/ui/evil/%s' % (registry.url, path))
        assert browser.driver.title.endswith('Registry')
        assert not browser.driver.find_elements('css selector', 'img, script:not([src])')


def test_a_browser_logs_in_with_a_password(place, browser):
    users = os.path.join(place.folder, 'users')
    subprocess.run(['htpasswd', '-Bbc', users, 'alice', 'secret'], check=True, timeout=30)
    registry = place.registry(REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='true')
    assert requests.get(registry.url + '/ui/', timeout=30).headers['WWW-Authenticate'].startswith('Basic ')

    browser.open(registry.url.replace('//', '//alice:secret@') + '/ui/')

    assert browser.all('.user') == ['Logged in as alice']
    assert browser.all('.empty')
