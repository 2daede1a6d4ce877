"""What is done with the results of a build before anybody uses them: lintian, autopkgtest, piuparts."""
