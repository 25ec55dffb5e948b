// Package browsertest tests the page of pagesink in Chromium. It is a module of its own, so that no user of the library
// gets the driver of the browser.
package browsertest
