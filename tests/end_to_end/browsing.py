"""Chromium as a user has it, and a registry with something to look at."""

import contextlib
import hashlib
import importlib.resources
import json
import os

import requests
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import images

SECONDS = 60  # for Chromium to load a page
WIDTH, HEIGHT = 1100, 800
SIZES = {'base': 4_200_000, 'packages': 1_650_000, 'app': 380_000, 'config': 6_000}  # bytes of layers


class Browser:
    """One Chromium. `console` is what it has complained about, such as a violation of the Content-Security-Policy."""

    def __init__(self, folder, chromium, chromedriver):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for option in (
            'headless=new',
            'no-sandbox',
            'disable-gpu',
            'disable-dev-shm-usage',
            'no-first-run',
            'no-proxy-server',
            'hide-scrollbars',
        ):
            options.add_argument('--' + option)
        options.add_argument('--window-size=%d,%d' % (WIDTH, HEIGHT))
        options.add_argument('--user-data-dir=%s' % folder)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
        self.driver.set_page_load_timeout(SECONDS)
        self._axe = importlib.resources.files('axe_playwright_python').joinpath('axe.min.js').read_text()

    def open(self, url):
        self.driver.get(url)

    def all(self, selector):
        """Return the texts of the elements that a CSS selector finds, of those that one can see."""
        return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]

    def click(self, selector):
        """Click the first that one can see of the elements that a CSS selector finds."""
        self.wait(lambda: [found for found in self.driver.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()])[0].click()

    def follow(self, text):
        """Click a link, as soon as it is there."""
        self.wait(lambda: self.driver.find_element(By.LINK_TEXT, text)).click()

    def type(self, selector, text):
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def wait(self, condition):
        """Call `condition` until it returns something true, and return that. The page may change meanwhile."""
        changing = [NoSuchElementException, StaleElementReferenceException]
        return WebDriverWait(self.driver, SECONDS, ignored_exceptions=changing).until(lambda driver: condition())

    def copied(self):
        """Return the text in the clipboard."""
        self.driver.execute_cdp_cmd('Browser.grantPermissions', {'permissions': ['clipboardReadWrite', 'clipboardSanitizedWrite']})
        return self.driver.execute_async_script('navigator.clipboard.readText().then(arguments[0], error => arguments[0](String(error)))')

    def prefer(self, scheme):
        """Make the user prefer `light` or `dark`."""
        feature = {'name': 'prefers-color-scheme', 'value': scheme}
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [feature]})

    def run_scripts(self, wanted):
        self.driver.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': not wanted})

    def accessibility(self):
        """Return what axe-core finds on the page: texts that name the rule and the element."""
        self.driver.execute_script(self._axe)
        found = self.driver.execute_async_script('axe.run(document).then(arguments[0])')
        return ['%s: %s' % (rule['id'], node['html']) for rule in found['violations'] for node in rule['nodes']]

    @property
    def console(self):
        return [entry['message'] for entry in self.driver.get_log('browser')]

    def picture(self, path, width=WIDTH, height=None):
        """Take a screenshot of the page, or of its beginning."""
        whole = self.driver.execute_script('return document.documentElement.scrollHeight')
        size = {'width': width, 'height': min(height or whole, whole), 'deviceScaleFactor': 1, 'mobile': False}
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
        self.driver.save_screenshot(path)
        self.driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})


@contextlib.contextmanager
def chromium(folder, program):
    browser = Browser(folder, program('chromium'), program('chromedriver'))
    try:
        yield browser
    finally:
        browser.driver.quit()


class Shop:
    """Pushes images to a registry, as a build would."""

    def __init__(self, url):
        self._url = url

    def blob(self, repository, content):
        digest = images.digest_of(content)
        answer = requests.post(
            '%s/v2/%s/blobs/uploads/' % (self._url, repository), params={'digest': digest}, data=content, timeout=SECONDS
        )
        assert answer.status_code == 201, answer.text
        return {'digest': digest, 'size': len(content)}

    def manifest(self, repository, reference, document):
        content = json.dumps(document).encode()
        url = '%s/v2/%s/manifests/%s' % (self._url, repository, reference or images.digest_of(content))
        answer = requests.put(url, data=content, headers={'Content-Type': document['mediaType']}, timeout=SECONDS)
        assert answer.status_code == 201, answer.text
        return {'mediaType': document['mediaType'], 'digest': images.digest_of(content), 'size': len(content)}

    def image(self, repository, tag, seed='', architecture='amd64', labels=None, **more):
        """Push an image with four layers, and return its descriptor."""
        layers = [
            dict(self.blob(repository, (seed + name).encode().ljust(size, b'.')), mediaType=images.OCI.layer)
            for name, size in SIZES.items()
        ]
        config = json.dumps(configuration(architecture, labels or {}, seed)).encode()
        config = dict(self.blob(repository, config), mediaType=images.OCI.config)
        return self.manifest(
            repository, tag, {'schemaVersion': 2, 'mediaType': images.OCI.manifest, 'config': config, 'layers': layers, **more}
        )

    def index(self, repository, tag, seed=''):
        entries = [
            dict(self.image(repository, None, seed, name), platform={'os': 'linux', 'architecture': name}) for name in ('amd64', 'arm64')
        ]
        return self.manifest(repository, tag, {'schemaVersion': 2, 'mediaType': images.OCI.index, 'manifests': entries})

    def signature(self, repository, subject, kind='application/vnd.dev.sigstore.bundle.v0.3+json', note='signed by the build'):
        empty = dict(self.blob(repository, b'{}'), mediaType='application/vnd.oci.empty.v1+json')
        document = {'schemaVersion': 2, 'mediaType': images.OCI.manifest, 'artifactType': kind, 'config': empty, 'layers': [empty]}
        return self.manifest(repository, None, dict(document, subject=subject, annotations={'org.example.note': note}))


def configuration(architecture, labels, seed):
    commands = [
        ('/bin/sh -c #(nop) ADD file:base in / ', False),
        ('RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 # buildkit', False),
        ('ENV PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', True),
        ('COPY . /app # buildkit', False),
        ('COPY settings.toml /etc/app/ # buildkit', False),
        ('EXPOSE map[8080/tcp:{}]', True),
        ('CMD ["app", "serve"]', True),
    ]
    run = {'User': '10001', 'WorkingDir': '/app', 'Entrypoint': ['/app/bin/start'], 'Cmd': ['app', 'serve'], 'Labels': labels}
    run |= {'Env': ['PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', 'LANG=C.UTF-8'], 'ExposedPorts': {'8080/tcp': {}}}
    diffs = ['sha256:' + hashlib.sha256((seed + name).encode()).hexdigest() for name in SIZES]
    history = [{'created_by': command, **({'empty_layer': True} if empty else {})} for command, empty in commands]
    config = {'created': '2026-11-02T09:30:00Z', 'architecture': architecture, 'os': 'linux', 'config': run, 'history': history}
    return dict(config, rootfs={'type': 'layers', 'diff_ids': diffs})


def screenshots():
    """Return the folder for screenshots that somebody asks for with REGISTRY_TEST_SCREENSHOTS, or None."""
    return os.environ.get('REGISTRY_TEST_SCREENSHOTS')
